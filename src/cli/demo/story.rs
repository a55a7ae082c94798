//! The demo's two repositories as they begin, and the commits that a person can make with one key.
//!
//! Pure: file trees in and out. The files are in `assets/demo` and are part of the binary.

use crate::base::FileTree;

/// Every file of `assets/demo`; a test compares the list with the directory.
const FILES: &[(&str, &str)] = &[
    ("charts/signpost/Chart.yaml", include_str!("../../../assets/demo/charts/signpost/Chart.yaml")),
    ("charts/signpost/templates/NOTES.txt", include_str!("../../../assets/demo/charts/signpost/templates/NOTES.txt")),
    ("charts/signpost/templates/_names.tpl", include_str!("../../../assets/demo/charts/signpost/templates/_names.tpl")),
    (
        "charts/signpost/templates/config.yaml",
        include_str!("../../../assets/demo/charts/signpost/templates/config.yaml"),
    ),
    (
        "charts/signpost/templates/deployment.yaml",
        include_str!("../../../assets/demo/charts/signpost/templates/deployment.yaml"),
    ),
    (
        "charts/signpost/templates/service.yaml",
        include_str!("../../../assets/demo/charts/signpost/templates/service.yaml"),
    ),
    ("charts/signpost/values.yaml", include_str!("../../../assets/demo/charts/signpost/values.yaml")),
    ("fleet/README.md", include_str!("../../../assets/demo/fleet/README.md")),
    ("fleet/clusters/demo/images.yaml", include_str!("../../../assets/demo/fleet/clusters/demo/images.yaml")),
    (
        "fleet/clusters/demo/infrastructure.yaml",
        include_str!("../../../assets/demo/fleet/clusters/demo/infrastructure.yaml"),
    ),
    ("fleet/clusters/demo/monitoring.yaml", include_str!("../../../assets/demo/fleet/clusters/demo/monitoring.yaml")),
    ("fleet/clusters/demo/shop.yaml", include_str!("../../../assets/demo/fleet/clusters/demo/shop.yaml")),
    ("fleet/clusters/demo/signpost.yaml", include_str!("../../../assets/demo/fleet/clusters/demo/signpost.yaml")),
    ("fleet/infrastructure/gateway.yaml", include_str!("../../../assets/demo/fleet/infrastructure/gateway.yaml")),
    (
        "fleet/infrastructure/kustomization.yaml",
        include_str!("../../../assets/demo/fleet/infrastructure/kustomization.yaml"),
    ),
    ("fleet/infrastructure/namespaces.yaml", include_str!("../../../assets/demo/fleet/infrastructure/namespaces.yaml")),
    ("fleet/monitoring/kustomization.yaml", include_str!("../../../assets/demo/fleet/monitoring/kustomization.yaml")),
    ("fleet/monitoring/metrics.yaml", include_str!("../../../assets/demo/fleet/monitoring/metrics.yaml")),
    ("fleet/monitoring/rules.yaml", include_str!("../../../assets/demo/fleet/monitoring/rules.yaml")),
    ("ledger.yaml", include_str!("../../../assets/demo/ledger.yaml")),
    ("shop/README.md", include_str!("../../../assets/demo/shop/README.md")),
    ("shop/base/cart.yaml", include_str!("../../../assets/demo/shop/base/cart.yaml")),
    ("shop/base/kustomization.yaml", include_str!("../../../assets/demo/shop/base/kustomization.yaml")),
    ("shop/base/web.yaml", include_str!("../../../assets/demo/shop/base/web.yaml")),
    ("shop/database/database.yaml", include_str!("../../../assets/demo/shop/database/database.yaml")),
    ("shop/database/kustomization.yaml", include_str!("../../../assets/demo/shop/database/kustomization.yaml")),
    ("shop/payments/kustomization.yaml", include_str!("../../../assets/demo/shop/payments/kustomization.yaml")),
    ("shop/payments/payments.yaml", include_str!("../../../assets/demo/shop/payments/payments.yaml")),
    ("shop/production/banner.yaml", include_str!("../../../assets/demo/shop/production/banner.yaml")),
    ("shop/production/kustomization.yaml", include_str!("../../../assets/demo/shop/production/kustomization.yaml")),
];

const PRODUCTION: &str = "production/kustomization.yaml";

/// The files of the repositories `fleet` and `shop`, as they begin, or of `charts`.
pub fn beginning(repository: &str) -> FileTree {
    let within = |(path, text): &(&'static str, &'static str)| {
        path.strip_prefix(repository).and_then(|rest| rest.strip_prefix('/')).map(|path| (path, *text))
    };
    FILES.iter().filter_map(within).collect()
}

/// Makes the next change to the shop, counted from 0, and answers with its commit message.
///
/// First a release, then the repair of what is broken, a scale-up, a removal, and releases for as long as one likes.
pub fn advance(shop: &mut FileTree, step: usize) -> String {
    match step {
        0 => {
            replace(shop, PRODUCTION, "newTag: 1.4.2", "newTag: 1.5.0");
            "web: release 1.5.0".into()
        }
        1 => {
            let ledger = FILES.iter().find(|(path, _)| *path == "ledger.yaml").map_or("", |(_, text)| text);
            put(shop, "payments/ledger.yaml", ledger);
            "payments: add the ledger that was missing".into()
        }
        2 => {
            replace(shop, PRODUCTION, "count: 3", "count: 5");
            "web: five replicas for the sale".into()
        }
        3 => {
            shop.remove("production/banner.yaml");
            replace(shop, PRODUCTION, "  - banner.yaml\n", "");
            "shop: take the sale banner down".into()
        }
        later => {
            let patch = later - 3;
            replace(shop, PRODUCTION, &format!("newTag: 1.5.{}", patch - 1), &format!("newTag: 1.5.{patch}"));
            format!("web: release 1.5.{patch}")
        }
    }
}

/// Changes a text in one file.
pub fn replace(tree: &mut FileTree, path: &str, from: &str, to: &str) {
    let text = tree.get(path).map(|file| String::from_utf8_lossy(&file.bytes).replace(from, to));
    put(tree, path, &text.unwrap_or_default());
}

fn put(tree: &mut FileTree, path: &str, text: &str) {
    tree.insert(path, text.as_bytes()).expect("the demo's paths are plain");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::base::yaml;
    use crate::kinds::check;

    #[test]
    fn the_binary_has_every_file_of_the_assets() {
        fn walk(directory: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push(path.to_str().unwrap().split("assets/demo/").nth(1).unwrap().to_owned());
                }
            }
        }
        let mut found = Vec::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo"), &mut found);
        found.sort();
        let listed: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(found, listed);
    }

    /// Templates and values of charts are no objects.
    fn is_committed(path: &str) -> bool {
        path.ends_with(".yaml") && !path.starts_with("charts/")
    }

    #[test]
    fn what_the_demo_commits_is_good_but_for_the_address_known_later() {
        for (path, text) in FILES.iter().filter(|(path, _)| is_committed(path) && !path.ends_with("rules.yaml")) {
            for document in yaml::read(text.as_bytes(), &yaml::Limits::default()).unwrap() {
                let is_kustomize = document.value["apiVersion"] == "kustomize.config.k8s.io/v1beta1";
                let problems = check::check(&document.value);
                let real: Vec<_> = problems.iter().filter(|problem| problem.field() != "spec.url").collect();
                assert!(is_kustomize || real.is_empty(), "{path}: {real:?}");
            }
        }
    }

    #[test]
    fn every_step_changes_something() {
        let mut shop = beginning("shop");
        assert!(shop.get("payments/ledger.yaml").is_none() && shop.get("production/banner.yaml").is_some());
        let mut messages = Vec::new();
        for step in 0..7 {
            let before = shop.clone();
            messages.push(advance(&mut shop, step));
            assert_ne!(before, shop, "step {step}");
        }
        assert_eq!(messages[6], "web: release 1.5.3");
        let text = String::from_utf8(shop.get(PRODUCTION).unwrap().bytes.to_vec()).unwrap();
        assert!(text.contains("newTag: 1.5.3") && !text.contains("banner") && text.contains("count: 5"), "{text}");
    }
}
