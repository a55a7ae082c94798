//! `weir build kustomize` beside the kustomize command: time and peak memory of whole processes.
//!
//! `WEIR_KUSTOMIZE=path cargo bench --bench kustomize`. Three repositories of nested overlays are written to a
//! temporary directory: about 10, 200 and 2,000 objects. The commands build each of them several times, in turns. Both
//! outputs must be equal. Without the reference only weir is measured. `WEIR_BINARY` names another weir.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

mod process;

use process::{Subject, report};

const SIZES: [(&str, usize, usize, usize); 3] = [("small", 1, 1, 20), ("medium", 4, 5, 10), ("large", 20, 10, 3)];

/// The manifests of one app: nine objects that refer to each other, and a config map that is generated.
fn app(name: &str) -> String {
    let head = |api: &str, kind: &str| {
        format!("---\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\n")
    };
    let mut text = head("apps/v1", "Deployment");
    text += &format!(
        "spec:\n  replicas: 2\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec:\n      serviceAccountName: {name}\n      containers:\n      - name: main\n        image: registry.example.com/{name}:1.0\n        \
         envFrom: [{{configMapRef: {{name: {name}}}}}, {{secretRef: {{name: {name}}}}}]\n        \
         ports: [{{containerPort: 8080, name: http}}]\n        resources: {{requests: {{cpu: 100m, memory: 128Mi}}}}\n      \
         volumes: [{{name: data, persistentVolumeClaim: {{claimName: {name}}}}}]\n"
    );
    text += &(head("v1", "Service")
        + &format!("spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: http}}]}}\n"));
    text += &head("v1", "ServiceAccount");
    text += &(head("v1", "PersistentVolumeClaim")
        + "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n");
    text += &(head("v1", "Secret") + "stringData: {password: x}\n");
    let target = format!("{{apiVersion: apps/v1, kind: Deployment, name: {name}}}");
    text += &(head("autoscaling/v2", "HorizontalPodAutoscaler")
        + &format!("spec: {{minReplicas: 1, maxReplicas: 3, scaleTargetRef: {target}}}\n"));
    let backend = format!("{{service: {{name: {name}, port: {{number: 80}}}}}}");
    text += &(head("networking.k8s.io/v1", "Ingress")
        + &format!(
            "spec: {{rules: [{{host: {name}.example.com, http: {{paths: [{{path: /, pathType: Prefix, backend: {backend}}}]}}}}]}}\n"
        ));
    text += &(head("policy/v1", "PodDisruptionBudget")
        + &format!("spec: {{minAvailable: 1, selector: {{matchLabels: {{app: {name}}}}}}}\n"));
    text += &(head("networking.k8s.io/v1", "NetworkPolicy")
        + &format!("spec: {{podSelector: {{matchLabels: {{app: {name}}}}}}}\n"));
    text
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Writes a repository: apps, teams over apps, and `top` over all teams.
fn repository(root: &Path, teams: usize, apps: usize) {
    for team in 0..teams {
        let names: Vec<String> = (0..apps).map(|app| format!("app-{team}-{app}")).collect();
        for name in &names {
            put(&root.join(format!("apps/{name}/app.yaml")), &app(name));
            put(
                &root.join(format!("apps/{name}/kustomization.yaml")),
                &format!(
                    "resources: [app.yaml]\nconfigMapGenerator: [{{name: {name}, literals: [a=1, b=2]}}]\n\
                     images: [{{name: registry.example.com/{name}, newTag: '2.0'}}]\n\
                     labels: [{{pairs: {{part: {name}}}, includeTemplates: true}}]\n"
                ),
            );
        }
        let bases: Vec<String> = names.iter().map(|name| format!("../../apps/{name}")).collect();
        let pull = "{template: {spec: {containers: [{name: main, imagePullPolicy: Always}]}}}";
        put(
            &root.join(format!("teams/t{team}/kustomization.yaml")),
            &format!(
                "namespace: team-{team}\nnamePrefix: t{team}-\nresources: [{}]\ncommonAnnotations: {{team: t{team}}}\n\
                 patches:\n- target: {{kind: Deployment}}\n  patch: |\n    apiVersion: apps/v1\n    kind: Deployment\n    \
                 metadata: {{name: x}}\n    spec: {pull}\n- path: patch.yaml\n",
                bases.join(", ")
            ),
        );
        let patch =
            format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {}}}\nspec: {{replicas: 5}}\n", names[0]);
        put(&root.join(format!("teams/t{team}/patch.yaml")), &patch);
    }
    let teams: Vec<String> = (0..teams).map(|team| format!("../teams/t{team}")).collect();
    let top = "labels: [{pairs: {env: prod}}]\nreplicas: [{name: app-0-0, count: 7}]\n";
    put(&root.join("top/kustomization.yaml"), &format!("nameSuffix: -prod\nresources: [{}]\n{top}", teams.join(", ")));
}

fn main() {
    let weir = std::env::var_os("WEIR_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_weir")), PathBuf::from);
    let reference = std::env::var_os("WEIR_KUSTOMIZE").map(PathBuf::from);
    if reference.is_none() {
        println!("WEIR_KUSTOMIZE is not set: only weir is measured");
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, teams, apps, runs) in SIZES {
        let root = folder.path().join(name);
        repository(&root, teams, apps);
        let top = root.join("top");
        let (mine, other) = (folder.path().join("weir.yaml"), folder.path().join("kustomize.yaml"));
        let mut subjects = vec![Subject { program: &weir, arguments: &["build", "kustomize"], output: &mine }];
        if let Some(reference) = &reference {
            subjects.push(Subject { program: reference, arguments: &["build"], output: &other });
        }
        report(name, &subjects, &top, runs);
        let made = fs::read_to_string(&mine).unwrap();
        println!("{name}: {} objects", made.lines().filter(|line| line.starts_with("kind:")).count());
        let same = reference.is_none() || made == fs::read_to_string(&other).unwrap();
        assert!(same, "{name}: the outputs differ");
    }
}
