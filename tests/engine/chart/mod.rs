//! Whole charts against what Helm made of them: dependencies, values, hooks, order, files, errors.

mod differential;

use std::fs;
use std::path::Path;

use weir::base::FileTree;
use weir::engine::chart::{Capabilities, Chart, ChartError, Release, read_values};
use weir::engine::template::World;

/// A chart, the values given, and what Helm printed.
#[derive(Default)]
struct Case {
    tree: FileTree,
    given: String,
    output: Option<String>,
    error: Option<String>,
}

fn read(text: &str) -> Case {
    let mut case = Case::default();
    let mut parts: Vec<(String, String)> = Vec::new();
    for line in text.lines().skip(1) {
        match line.strip_prefix("== ").or_else(|| line.strip_prefix("=> ").map(|_| line)) {
            Some(name) => parts.push((name.to_owned(), String::new())),
            None => {
                let content = &mut parts.last_mut().unwrap().1;
                content.push_str(line);
                content.push('\n');
            }
        }
    }
    for (name, content) in parts {
        match name.as_str() {
            "=> given" => case.given = content,
            "=> output" => case.output = Some(content),
            "=> error" => case.error = Some(content.trim_end().to_owned()),
            path => case.tree.insert(path, content.into_bytes()).unwrap(),
        }
    }
    case
}

fn render(case: &Case) -> Result<String, ChartError> {
    let capabilities = Capabilities {
        kube_version: "v1.37.0".into(),
        api_versions: vec!["v1".into(), "apps/v1".into()],
        helm_version: "v4.3.1".into(),
    };
    let release = Release { name: "demo".into(), namespace: "apps".into(), revision: 1, is_upgrade: false };
    let given = read_values("given", case.given.as_bytes())?;
    Ok(Chart::load(&case.tree)?.render(&given, &release, &capabilities, &World::default())?.text(true))
}

#[test]
fn charts_render_and_fail_as_in_helm() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/chart/cases");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let case = read(&fs::read_to_string(&path).unwrap());
        count += 1;
        let got = render(&case).map_err(|error| error.to_string());
        let wanted = match (&case.output, &case.error) {
            (Some(output), _) => Ok(output.clone()),
            (None, error) => Err(error.clone().unwrap()),
        };
        if got != wanted {
            let (wanted, got) = (wanted.unwrap_or_else(|error| error), got.unwrap_or_else(|error| error));
            wrong.push(format!("{}\n--- wanted\n{wanted}\n--- got\n{got}", path.display()));
        }
    }
    assert!(count >= 15, "only {count} charts were found");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn hooks_carry_their_events_weight_and_policies() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/chart/cases/hooks.txt");
    let case = read(&fs::read_to_string(path).unwrap());
    let capabilities = Capabilities { kube_version: "1.30.1".into(), api_versions: vec![], helm_version: "v4".into() };
    let release = Release { name: "r".into(), namespace: "n".into(), revision: 2, is_upgrade: true };
    let chart = Chart::load(&case.tree).unwrap();
    let rendered = chart.render(&Default::default(), &release, &capabilities, &World::default()).unwrap();
    let job = rendered.hooks.iter().find(|hook| hook.manifest.kind == "Job").unwrap();
    assert_eq!(job.events, ["pre-install", "post-upgrade"]);
    assert_eq!(job.weight, -5);
    assert_eq!(job.delete_policies, ["hook-succeeded", "before-hook-creation"]);
    let test = rendered.hooks.iter().find(|hook| hook.manifest.name == "c").unwrap();
    assert_eq!(test.events, ["test"]);
}
