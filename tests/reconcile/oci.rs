//! OCIRepository: a registry in process, artifacts by tag, range and digest, layers extracted and copied.

use serde_json::{Value, json};
use weir::base::{Condition, Id};
use weir::engine::archive::{Unpack, pack, unpack};
use weir::kinds::{meta, oci_repository};
use weir::reconcile::{Crew, OciRepositories, Options};

use super::{World, ready};
use crate::outside::web::{Shelf, Web, chart};

const LAYER: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";
const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

struct Bench {
    world: World,
    shelf: Shelf,
    web: Web,
}

impl Bench {
    async fn new(shelf: Shelf) -> Bench {
        let mut world = World::new(Options::default()).await;
        world.start(Crew::default().with(OciRepositories));
        let web = shelf.serve().await;
        Bench { world, shelf, web }
    }

    async fn put(&self, name: &str, spec: Value) -> Id {
        let mut document = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"url": format!("oci://{}/team/app", self.web.address), "interval": "10m", "insecure": true}});
        for (key, value) in spec.as_object().into_iter().flatten() {
            document["spec"][key] = value.clone();
        }
        self.world.put(document).await;
        oci_repository::KIND.id("default", name)
    }

    async fn reconcile(&self, id: &Id, token: &str) -> Value {
        self.world.patch(id, json!({"metadata": {"annotations": {(meta::REQUESTED_AT): token}}})).await;
        self.world.until(id, "handled", |document| document["status"]["lastHandledReconcileAt"] == token).await
    }

    async fn until_revision(&self, id: &Id, revision: &str) -> Value {
        let is_there = |it: &Value| {
            it["status"]["artifact"]["revision"] == revision && ready(it).is_some_and(|ready| ready.status == "True")
        };
        self.world.until(id, revision, is_there).await
    }

    fn stored(&self, document: &Value) -> Vec<u8> {
        let path = document.pointer("/status/artifact/path").and_then(Value::as_str).unwrap();
        std::fs::read(self.world.files.path().join(path)).unwrap()
    }

    fn files(&self, document: &Value) -> Vec<String> {
        let tree = unpack(&self.stored(document), &Unpack::default()).unwrap();
        tree.iter().map(|(path, _)| path.to_owned()).collect()
    }
}

fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    pack(&files.iter().copied().collect())
}

#[tokio::test]
async fn a_tag_is_followed_and_its_files_are_kept() {
    let bench = Bench::new(Shelf::default()).await;
    let first = bench.shelf.push("team/app", "latest", LAYER, &packed(&[("a.yaml", "1"), ("logo.png", "x")]));
    let id = bench.put("app", json!({})).await;
    let document = bench.until_revision(&id, &format!("latest@{first}")).await;
    let hex = first.strip_prefix("sha256:").unwrap();
    assert_eq!(document["status"]["artifact"]["path"], format!("ocirepository/default/app/{hex}.tar.gz"));
    assert_eq!(document["status"]["artifact"]["metadata"]["org.opencontainers.image.revision"], "main@sha1:abc");
    assert_eq!(bench.files(&document), ["a.yaml"]);
    assert_eq!(ready(&document).unwrap().message, format!("stored artifact for digest 'latest@{first}'"));
    let events = bench.world.events(&id).await;
    assert!(events[0].starts_with("NewArtifact: stored artifact with revision 'latest@sha256:"), "{events:?}");
    assert!(events[0].ends_with("origin source 'https://git.example/app', origin revision 'main@sha1:abc'"));
    bench.web.taken();
    bench.reconcile(&id, "t1").await;
    assert_eq!(bench.web.taken(), ["/v2/team/app/manifests/latest"], "one look, no pull");
    let second = bench.shelf.push("team/app", "latest", LAYER, &packed(&[("b.yaml", "2")]));
    bench.reconcile(&id, "t2").await;
    assert_eq!(bench.files(&bench.until_revision(&id, &format!("latest@{second}")).await), ["b.yaml"]);
    bench.world.patch(&id, json!({"spec": {"ignore": "*.yaml"}})).await;
    let ignoring = bench.world.until(&id, "ignoring", |it| it["status"]["observedIgnore"] == "*.yaml").await;
    assert!(bench.files(&ignoring).is_empty());
}

#[tokio::test]
async fn ranges_filters_digests_and_layers_are_obeyed() {
    let bench = Bench::new(Shelf::default()).await;
    let bytes = chart("app", "1.2.0+a", &[]);
    let old = bench.shelf.push("team/app", "1.0.0", LAYER, &packed(&[("old", "1")]));
    let new = bench.shelf.push_layers("team/app", "1.2.0_a", &[("text/plain", b"note"), (CHART_LAYER, &bytes)]);
    let candidate = bench.shelf.push("team/app", "1.3.0-rc.1", LAYER, &packed(&[("rc", "1")]));
    let id = bench.put("app", json!({"ref": {"semver": "1.x"}})).await;
    bench.until_revision(&id, &format!("1.0.0@{old}")).await;
    let copy = json!({"mediaType": CHART_LAYER, "operation": "copy"});
    bench.world.patch(&id, json!({"spec": {"layerSelector": copy}})).await;
    let copied = bench.until_revision(&id, &format!("1.2.0_a@{new}")).await;
    assert_eq!(bench.stored(&copied), bytes, "copied as it is");
    assert_eq!(copied["status"]["observedLayerSelector"], copy);
    let filtered = json!({"spec": {"layerSelector": null, "ref": {"semver": ">=1.0.0-0", "semverFilter": "-rc"}}});
    bench.world.patch(&id, filtered).await;
    bench.until_revision(&id, &format!("1.3.0-rc.1@{candidate}")).await;
    bench.world.patch(&id, json!({"spec": {"ref": {"digest": old, "semver": null, "semverFilter": null}}})).await;
    bench.until_revision(&id, &old).await;
    for (spec, wanted, part) in [
        (json!({"ref": {"digest": null, "tag": "nope"}}), "OCIArtifactPullFailed", "nope was not found"),
        (json!({"ref": {"tag": null, "semver": "9.x"}}), "ReadOperationFailed", "no match found for semver: 9.x"),
        (json!({"ref": null, "url": "oci://r.example/App"}), "URLInvalid", "URL validation failed"),
    ] {
        bench.world.patch(&id, json!({"spec": spec})).await;
        let failed = bench.world.until_reason(&id, wanted).await;
        assert!(ready(&failed).unwrap().message.contains(part), "{}", ready(&failed).unwrap().message);
        assert_eq!(Condition::find(&failed, "FetchFailed").unwrap().reason, wanted);
    }
}

#[tokio::test]
async fn logins_come_from_secrets_and_service_accounts() {
    let bench = Bench::new(Shelf { login: Some("ada:canary".into()), ..Shelf::default() }).await;
    let pushed = bench.shelf.push("team/app", "latest", LAYER, &packed(&[("a.yaml", "1")]));
    let id = bench.put("app", json!({})).await;
    let failed = bench.world.until_reason(&id, "AuthenticationFailed").await;
    assert!(ready(&failed).unwrap().message.contains("spec.secretRef"));
    let auth = json!({"auths": {bench.web.address.to_string(): {"auth": "YWRhOmNhbmFyeQ=="}}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": "default"},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": auth.to_string()}});
    bench.world.put(secret).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "puller", "namespace": "default"}, "imagePullSecrets": [{"name": "login"}]});
    bench.world.put(account).await;
    bench.world.patch(&id, json!({"spec": {"serviceAccountName": "puller"}})).await;
    bench.until_revision(&id, &format!("latest@{pushed}")).await;
    let named = bench.put("named", json!({"secretRef": {"name": "login"}})).await;
    bench.until_revision(&named, &format!("latest@{pushed}")).await;
    for (name, spec, wanted) in [
        ("cloud", json!({"provider": "aws"}), "InvalidProviderConfiguration"),
        ("signed", json!({"verify": {"provider": "cosign"}}), "VerificationError"),
    ] {
        let id = bench.put(name, spec).await;
        let stalled = bench.world.until_reason(&id, wanted).await;
        assert!(Condition::find(&stalled, "Stalled").is_some());
    }
}
