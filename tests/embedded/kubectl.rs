//! kubectl itself against the served API: every operation a person types, and what it must say.
//!
//! Skips itself, and says so, where there is no kubectl.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;
use weir::embedded::{Access, Embedded, Options};

const APP: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, labels: {app: app}}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - {name: c, image: 'nginx:1', ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {selector: {app: app}, ports: [{port: 80}], type: LoadBalancer}
---
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}
";

const SETS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  updateStrategy: {type: RollingUpdate}
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: 'db:1'}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  updateStrategy: {type: RollingUpdate}
  selector: {matchLabels: {app: agent}}
  template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: c, image: 'agent:1'}]}}
";

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, kind: Thing, shortNames: [th]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, required: [size], properties: {size: {type: integer, minimum: 1, description: How big it is.}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
";

struct Kubectl {
    dir: tempfile::TempDir,
    count: usize,
    wrong: Vec<String>,
}

impl Kubectl {
    async fn run(&self, line: &str) -> Output {
        let mut command = Command::new("kubectl");
        command.args(words(line)).current_dir(self.dir.path()).env("KUBECONFIG", self.dir.path().join("config"));
        command.env("HOME", self.dir.path()).env("KUBE_EDITOR", "sed -i s/nginx:2/nginx:3/").kill_on_drop(true);
        tokio::time::timeout(Duration::from_secs(60), command.output()).await.expect("kubectl hangs").unwrap()
    }

    /// Runs a line; it must end with a code and say some texts.
    async fn expect(&mut self, line: &str, code: i32, texts: &[&str]) {
        self.count += 1;
        let output = self.run(line).await;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let missing: Vec<_> = texts.iter().filter(|text| !said.contains(**text)).collect();
        if output.status.code() != Some(code) || !missing.is_empty() {
            self.wrong.push(format!(
                "kubectl {line}\n  ended with {:?}, lacks {missing:?}, said:\n{said}",
                output.status.code()
            ));
        }
    }

    async fn ok(&mut self, line: &str, text: &str) {
        self.expect(line, 0, &[text]).await;
    }
}

/// Splits at spaces outside single quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_cannot_tell() {
    if Command::new("kubectl").arg("version").arg("--client").output().await.is_err() {
        eprintln!("skipped: there is no kubectl on the path");
        return;
    }
    let embedded = Embedded::open(Options::default()).await.unwrap();
    let served = embedded.serve("127.0.0.1:0".parse().unwrap(), Access::fresh()).await.unwrap();
    let mut kubectl = Kubectl { dir: tempfile::tempdir().unwrap(), count: 0, wrong: Vec::new() };
    let dir = kubectl.dir.path().to_path_buf();
    write(&dir, "config", &served.kubeconfig);
    write(&dir, "app.yaml", APP);
    write(&dir, "crd.yaml", DEFINITION);
    write(&dir, "sets.yaml", SETS);
    create_in_every_form(&mut kubectl).await;
    apply_and_change(&mut kubectl, &dir).await;
    look(&mut kubectl).await;
    custom(&mut kubectl, &dir).await;
    remove(&mut kubectl).await;
    assert!(
        kubectl.wrong.is_empty(),
        "{} of {} fail:\n\n{}",
        kubectl.wrong.len(),
        kubectl.count,
        kubectl.wrong.join("\n\n")
    );
    assert!(kubectl.count >= 150, "{}", kubectl.count);
    eprintln!("{} operations of kubectl", kubectl.count);
}

async fn create_in_every_form(kubectl: &mut Kubectl) {
    for (line, said) in [
        ("create namespace web", "namespace/web created"),
        ("create configmap cm1 --from-literal=a=b", "configmap/cm1 created"),
        ("create secret generic s1 --from-literal=p=q", "secret/s1 created"),
        (
            "create secret docker-registry s2 --docker-server=r --docker-username=u --docker-password=p",
            "secret/s2 created",
        ),
        ("create serviceaccount sa1", "serviceaccount/sa1 created"),
        ("create deployment d1 --image=nginx --replicas=2 -n web", "deployment.apps/d1 created"),
        ("create job jj --image=busybox", "job.batch/jj created"),
        ("create cronjob cj --image=busybox --schedule='* * * * *'", "cronjob.batch/cj created"),
        ("create role r --verb=get --resource=pods", "role.rbac.authorization.k8s.io/r created"),
        ("create rolebinding rb --role=r --user=bob", "rb created"),
        ("create clusterrole cr --verb=get --resource=nodes", "cr created"),
        ("create clusterrolebinding crb --clusterrole=cr --group=g", "crb created"),
        ("create ingress ing --rule='a.b/x=app:80'", "ing created"),
        ("create quota q --hard=pods=3", "resourcequota/q created"),
        ("create pdb pdb1 --selector=app=app --min-available=1", "pdb1 created"),
        ("create priorityclass pc1 --value=10", "pc1 created"),
        ("create service clusterip svc1 --tcp=80:80", "service/svc1 created"),
        ("create service externalname svc2 --external-name=a.b", "service/svc2 created"),
        ("create service nodeport svc3 --tcp=80:80", "service/svc3 created"),
        ("create service loadbalancer svc4 --tcp=80:80", "service/svc4 created"),
        ("create configmap cm2 --from-file=app.yaml", "configmap/cm2 created"),
        ("create ns dry --dry-run=server -o yaml", "name: dry"),
        ("create deployment d9 --image=nginx --dry-run=client -o yaml", "image: nginx"),
        ("run pod1 --image=busybox", "pod/pod1 created"),
        ("get secret s1 -o jsonpath={.data.p}", "cQ=="),
        ("rollout status deploy/d1 -n web --timeout=20s", "successfully rolled out"),
    ] {
        kubectl.ok(line, said).await;
    }
    kubectl.expect("create namespace web", 1, &["AlreadyExists", "namespaces \"web\" already exists"]).await;
    kubectl.expect("create token sa1", 1, &["no service account tokens"]).await;
}

async fn apply_and_change(kubectl: &mut Kubectl, dir: &Path) {
    kubectl
        .expect(
            "apply -f app.yaml",
            0,
            &["deployment.apps/app created", "service/app created", "job.batch/job created"],
        )
        .await;
    write(dir, "app.yaml", &APP.replace("nginx:1", "nginx:2"));
    kubectl.expect("diff -f app.yaml", 1, &["-      - image: nginx:1", "+      - image: nginx:2"]).await;
    kubectl.expect("apply -f app.yaml --dry-run=server", 0, &["deployment.apps/app configured (server dry run)"]).await;
    kubectl.expect("apply -f app.yaml", 0, &["deployment.apps/app configured", "service/app unchanged"]).await;
    kubectl.expect("apply -f app.yaml", 0, &["deployment.apps/app unchanged"]).await;
    kubectl.expect("diff -f app.yaml", 0, &[]).await;
    kubectl.ok("apply --server-side -f app.yaml", "deployment.apps/app serverside-applied").await;
    kubectl.ok("apply --server-side -f app.yaml", "deployment.apps/app serverside-applied").await;
    kubectl.expect("diff --server-side -f app.yaml", 0, &[]).await;
    kubectl.ok("edit deploy app", "deployment.apps/app edited").await;
    kubectl.ok("get deploy app -o jsonpath={.spec.template.spec.containers[0].image}", "nginx:3").await;
    kubectl.ok("set image deploy/app c=nginx:7", "image updated").await;
    kubectl.expect("apply --server-side -f app.yaml", 1, &["conflict", "kubectl-set", "image"]).await;
    kubectl.ok("apply --server-side --force-conflicts -f app.yaml", "serverside-applied").await;
    for (line, said) in [
        (
            r#"patch deploy app -p '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"B"}]}]}}}}'"#,
            "patched",
        ),
        (
            "get deploy app -o jsonpath={.spec.template.spec.containers[0].image}/{.spec.template.spec.containers[0].env[0].name}",
            "nginx:2/A",
        ),
        (r#"patch deploy app --type=merge -p '{"metadata":{"labels":{"x":"y"}}}'"#, "patched"),
        (r#"patch deploy app --type=json -p '[{"op":"replace","path":"/spec/replicas","value":3}]'"#, "patched"),
        (r#"patch deploy app --subresource=status --type=merge -p '{"status":{"collisionCount":1}}'"#, "patched"),
        ("label deploy app l=m", "labeled"),
        ("annotate deploy app a=b", "annotated"),
        ("scale deploy app --replicas=5", "scaled"),
        ("set image deploy/app c=nginx:9", "image updated"),
        ("set env deploy/app X=Y", "env updated"),
        ("set resources deploy/app --limits=cpu=1", "resource requirements updated"),
        ("rollout restart deploy/app", "restarted"),
        ("rollout status deploy/app --timeout=20s", "successfully rolled out"),
        ("apply -f sets.yaml", "statefulset.apps/db created"),
        ("rollout status sts/db --timeout=20s", "complete"),
        ("rollout status ds/agent --timeout=20s", "successfully rolled out"),
        ("get sts,ds -o yaml", "weir.dev/Simulated"),
        ("delete -f sets.yaml", "deleted"),
        ("rollout pause deploy/app", "paused"),
        ("rollout resume deploy/app", "resumed"),
        ("wait --for=condition=Available deploy/app --timeout=20s", "condition met"),
        ("wait --for=condition=Complete job/job --timeout=20s", "condition met"),
        ("wait --for=jsonpath={.status.phase}=Running pod/pod1 --timeout=20s", "condition met"),
        ("label deploy app l=n --overwrite", "labeled"),
        ("label deploy app l-", "unlabeled"),
        ("annotate deploy app a-", "annotated"),
        ("set serviceaccount deploy/app sa1", "serviceaccount updated"),
        ("set selector svc app app=app", "selector updated"),
        ("set subject rolebinding rb --user=alice", "subjects updated"),
        ("apply view-last-applied deploy/app", "image: nginx:2"),
        ("apply set-last-applied -f app.yaml", "no changes required"),
        ("wait --for=create cm/cm1 --timeout=20s", "condition met"),
        ("expose deploy app --port=90 --name=app2", "service/app2 exposed"),
        ("autoscale deploy app --max=3 --cpu-percent=50", "autoscaled"),
    ] {
        kubectl.ok(line, said).await;
    }
    kubectl
        .expect(
            r#"patch deploy app --type=merge -p '{"spec":{"selector":{"matchLabels":{"l":"m"}}}}'"#,
            1,
            &["field is immutable"],
        )
        .await;
    kubectl.ok("replace -f app.yaml", "deployment.apps/app replaced").await;
    write(dir, "bad.yaml", &APP.replace("replicas: 2", "replica: 2"));
    kubectl.expect("create -f bad.yaml", 1, &["strict decoding error: unknown field \"spec.replica\""]).await;
}

async fn look(kubectl: &mut Kubectl) {
    kubectl
        .expect(
            "get all",
            0,
            &[
                "deployment.apps/app",
                "service/app",
                "job.batch/job",
                "pod/pod1",
                "horizontalpodautoscaler.autoscaling/app",
            ],
        )
        .await;
    kubectl.expect("get deploy -o wide", 0, &["READY", "UP-TO-DATE", "CONTAINERS", "IMAGES", "2/2", "app=app"]).await;
    kubectl.expect("get pods", 0, &["NAME", "READY", "STATUS", "RESTARTS", "AGE", "1/1", "Running"]).await;
    kubectl.expect("get hpa", 0, &["Deployment/app", "50%", "MINPODS"]).await;
    for (line, said) in [
        ("get ns", "Active"),
        ("get ns -A", "kube-system"),
        ("get cm -A", "kube-root-ca.crt"),
        ("get secrets", "kubernetes.io/dockerconfigjson"),
        ("get cj", "* * * * *"),
        ("get ing", "a.b"),
        ("get svc", "80/TCP"),
        ("get deploy -l app=app -o name", "deployment.apps/app"),
        ("get pods --field-selector=status.phase=Running -o name", "pod/pod1"),
        ("get deploy app -o json", "\"kind\": \"Deployment\""),
        ("get deploy app -o yaml --show-managed-fields", "manager: weir-simulator"),
        ("get deploy app -o custom-columns=N:.metadata.name,R:.spec.replicas", "app"),
        ("get deploy app --show-labels", "app=app"),
        ("get deploy -L app", "APP"),
        ("get deploy,svc,job -o name", "job.batch/job"),
        ("get deploy --no-headers", "app"),
        ("get deploy --sort-by=.metadata.name -o name", "deployment.apps/app"),
        ("get deploy app -o jsonpath-as-json={.metadata.name}", "\"app\""),
        ("get deploy app --subresource=scale", "app"),
        ("get deploy --chunk-size=1 -A -o name", "deployment.apps/d1"),
        ("get sts,ds,rs -A", "No resources found"),
        ("get deploy app -o go-template={{.metadata.name}}", "app"),
        ("describe deploy app", "MinimumReplicasAvailable"),
        ("describe pod pod1", "Running"),
        ("describe svc app", "LoadBalancer"),
        ("describe ns web", "Active"),
        ("describe secret s1", "p:  1 bytes"),
        ("explain deploy.spec.replicas", "Number of desired pods"),
        ("explain pods", "FIELDS:"),
        ("explain deploy.spec --recursive", "matchLabels"),
        ("describe job job", "Complete"),
        ("describe cm cm1", "Data"),
        ("describe ing ing", "a.b"),
        ("describe node", "No resources found"),
        ("describe sa sa1", "sa1"),
        ("describe quota q", "Hard"),
        ("api-resources", "deployments"),
        ("api-resources --api-group=apps -o name", "deployments.apps"),
        ("api-versions", "autoscaling/v2"),
        ("auth can-i create pods", "yes"),
        ("auth can-i --list", "Resources"),
        ("api-resources --verbs=list --namespaced -o wide", "CATEGORIES"),
        ("auth whoami", "weir"),
        ("version", "v1.37"),
        ("cluster-info", "is running at"),
        ("get --raw /readyz", "ok"),
        ("events", ""),
        ("rollout history deploy/app", "deployment.apps/app"),
    ] {
        kubectl.ok(line, said).await;
    }
    kubectl.expect("get deploy nothing", 1, &["NotFound", "deployments.apps \"nothing\" not found"]).await;
    kubectl.expect("get nothing", 1, &["doesn't have a resource type \"nothing\""]).await;
    kubectl.expect("logs pod1", 1, &["simulated"]).await;
    kubectl.expect("exec pod1 -- ls", 1, &["simulated"]).await;
    watch(kubectl).await;
}

/// `get -w` prints a change that happens while it watches.
async fn watch(kubectl: &mut Kubectl) {
    kubectl.count += 1;
    let looking = kubectl.run("get cm -w --request-timeout=3s");
    let changing = async {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        kubectl.run("create configmap seen --from-literal=a=b").await;
    };
    let (output, ()) = tokio::join!(looking, changing);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !said.lines().any(|line| line.starts_with("seen ")) {
        kubectl.wrong.push(format!("get -w did not see the change: {said}"));
    }
}

async fn custom(kubectl: &mut Kubectl, dir: &Path) {
    let thing = |size: &str| {
        format!("apiVersion: example.com/v1\nkind: Thing\nmetadata: {{name: t}}\nspec: {{size: {size}}}\n")
    };
    kubectl.ok("apply -f crd.yaml", "customresourcedefinition.apiextensions.k8s.io/things.example.com created").await;
    kubectl.ok("wait --for=condition=Established crd/things.example.com --timeout=20s", "condition met").await;
    write(dir, "thing.yaml", &thing("3"));
    kubectl.ok("apply -f thing.yaml", "thing.example.com/t created").await;
    kubectl.expect("get th", 0, &["NAME", "SIZE", "3"]).await;
    write(dir, "thing.yaml", &thing("4"));
    kubectl.expect("diff -f thing.yaml", 1, &["-  size: 3", "+  size: 4"]).await;
    kubectl.ok("apply -f thing.yaml", "thing.example.com/t configured").await;
    kubectl.ok("apply --server-side -f thing.yaml", "serverside-applied").await;
    kubectl.ok("explain things.spec.size", "How big it is").await;
    write(dir, "thing.yaml", &thing("0"));
    kubectl.expect("apply -f thing.yaml", 1, &["spec.size", "should be greater than or equal to 1"]).await;
    write(dir, "thing.yaml", &thing("1").replace("size:", "sise: 1, size:"));
    kubectl.expect("apply -f thing.yaml", 1, &["unknown field", "spec.sise"]).await;
    kubectl.ok(r#"patch thing t --type=merge -p '{"spec":{"size":9}}'"#, "patched").await;
    kubectl.ok("describe thing t", "Size:").await;
    kubectl.ok("label thing t a=b", "labeled").await;
    kubectl.expect("patch thing t -p '{}'", 1, &["strategic-merge-patch+json is not supported"]).await;
    kubectl.ok("get all,thing -o name", "thing.example.com/t").await;
    kubectl.ok("get thing t -o jsonpath={.spec.size}", "9").await;
    kubectl.ok("delete crd things.example.com", "deleted").await;
    kubectl.expect("get th", 1, &["the server"]).await;
}

async fn remove(kubectl: &mut Kubectl) {
    for (line, said) in [
        ("delete pod pod1", "pod \"pod1\" deleted"),
        ("delete deploy app --cascade=foreground", "deleted"),
        ("delete svc app2 --cascade=orphan", "deleted"),
        ("delete hpa app", "deleted"),
        ("delete secret s1 s2", "deleted"),
        ("wait --for=delete secret/s1 --timeout=20s", ""),
        ("delete job -l nothing=here", "No resources found"),
        ("delete cj cj --now", "deleted"),
        ("delete role/r rolebinding/rb --wait=false", "deleted"),
        ("replace --force -f app.yaml", "deployment.apps/app replaced"),
        ("delete cm cm1 --dry-run=server", "deleted (server dry run)"),
        ("delete cm --all", "cm1"),
        ("delete -f app.yaml --ignore-not-found", "job.batch \"job\" deleted"),
        ("delete ns web", "namespace \"web\" deleted"),
        ("get deploy -A", "No resources found"),
    ] {
        kubectl.ok(line, said).await;
    }
    kubectl.expect("delete ns default", 1, &["forbidden"]).await;
}
