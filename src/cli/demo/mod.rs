//! `weir demo`: a living cluster without a cluster, in a temporary directory that goes when it ends.
//!
//! Two real Git repositories, a repository of charts, a registry of images, one source and one Kustomization that point at
//! them, and weir's own reconcilers do the rest. Start with [`Demo::open`]; the files and the commits to press through are in `story`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::console;
use super::door::Door;
use super::session::{Session, connect_to};
use super::{CliError, Cx, log};
use crate::base::{State, Text, Value};
use crate::cluster::{Apply, Cluster, Target};
use crate::console::start::Options;
use crate::embedded::Access;
use crate::kinds::{self, meta};
use crate::store::Store;
use crate::verbs::MANAGER;

mod charts;
mod registry;
mod repository;
mod story;

use charts::Charts;
use registry::Registry;
use repository::{Repository, RepositoryError};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    look: console::Look,
}

/// How long the fleet may take to settle where nobody watches it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The Kustomizations of the demo: with fewer in the picture, there is more to come.
const KUSTOMIZATIONS: usize = 6;
/// Where the objects of Flux live in the demo.
const NAMESPACE: &str = "flux-system";

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let demo = Demo::open(cx).await?;
    let outcome = demo.show(cx, &args.look).await;
    demo.close().await;
    outcome
}

/// A running demo.
pub struct Demo {
    pub session: Session,
    shop: Shop,
    door: Door,
    _charts: Charts,
    _registry: Registry,
    /// Everything of the demo is in it, and goes with it.
    _directory: TempDir,
}

impl Demo {
    /// Makes the repositories, opens a cluster of its own, and lets the fleet begin.
    pub async fn open(cx: &Cx) -> Result<Demo, CliError> {
        let made = tempfile::Builder::new().prefix("weir-demo-").tempdir();
        let directory = made.map_err(|e| CliError::config(format!("the demo has no place: {e}"), "look at TMPDIR"))?;
        let fleet = Repository::create(&directory.path().join("fleet.git"))?;
        fleet.commit(&story::beginning("fleet"), "the fleet as it begins")?;
        let shop = Shop::create(&directory.path().join("shop.git"))?;
        let charts = Charts::open().await?;
        let registry = Registry::open().await?;
        let data = directory.path().join("cluster");
        let activity = log::start(Some(&log::path_in(&data)), false);
        let connected = connect_to(cx, &Target::Embedded { data: data.clone() }).await?;
        let embedded =
            connected.embedded.clone().ok_or_else(|| CliError::internal("the demo's store is not its own"))?;
        let door = Door::open(&embedded, &data, ([127, 0, 0, 1], 0).into(), Access::fresh()).await?;
        let mut session = Session::over(connected, activity).await;
        session.reconcile().await?;
        let places = json!({"shop_url": shop.url(), "charts_url": charts.url(), "registry": registry.host()});
        begin(&session.desk.cluster, &fleet.url(), &places).await?;
        Ok(Demo { session, shop, door, _charts: charts, _registry: registry, _directory: directory })
    }

    /// What one key does: the next commit of the story, told to the source as a webhook would tell it.
    pub fn commit(&self) -> impl Fn() -> Result<Text, Text> + Send + Sync + 'static {
        let (shop, cluster) = (self.shop.clone(), self.session.desk.cluster.clone());
        let runtime = tokio::runtime::Handle::current();
        move || {
            let message = shop.advance().map_err(|e| Text::new(e.to_string()))?;
            let cluster = cluster.clone();
            runtime.spawn(async move {
                let asked =
                    json!({"metadata": {"annotations": {meta::REQUESTED_AT: jiff::Timestamp::now().to_string()}}});
                let source = kinds::git_repository::KIND.id(NAMESPACE, "shop");
                // The source looks by itself soon when it could not be told.
                cluster.merge_patch(&source, &asked, None, MANAGER).await.ok();
            });
            Ok(Text::new(message))
        }
    }

    /// Shows the demo in the console; as a tree, once it has settled, where nobody sits at a terminal.
    async fn show(&self, cx: &Cx, look: &console::Look) -> Result<(), CliError> {
        if console::is_interactive() {
            return console::show(&self.session, self.options(look)?).await;
        }
        self.settled().await;
        super::tree::print_all(cx, &self.session, false).await
    }

    /// What the console of the demo is told.
    pub fn options(&self, look: &console::Look) -> Result<Options, CliError> {
        let options = console::options(&self.session, look)?;
        Ok(Options { reconciling: true, demo: Some(Arc::new(self.commit())), ..options })
    }

    /// Waits until everything is ready or has failed, for as long as is reasonable.
    pub async fn settled(&self) {
        let store = &self.session.desk.store;
        let changes = store.subscribe();
        let quiet = async {
            while !is_settled(store) {
                changes.next().await;
            }
        };
        tokio::time::timeout(PATIENCE, quiet).await.ok();
    }

    pub async fn close(self) {
        self.door.close().await;
        self.session.close().await;
        // The directory goes last, when nothing writes into it any more.
    }
}

/// Whether everything is ready, suspended, or has failed, and all of them are there.
fn is_settled(store: &Store) -> bool {
    let mut deployers = 0;
    for kind in kinds::reconciled() {
        for entry in store.of_kind(kind.group, kind.kind) {
            if !matches!(entry.health.state, State::Ready | State::Failed | State::Suspended) {
                return false;
            }
            deployers += usize::from(kind.kind == kinds::kustomization::KIND.kind);
        }
    }
    deployers >= KUSTOMIZATIONS
}

/// Applies the two objects that bring all others.
async fn begin(cluster: &Cluster, fleet: &str, places: &Value) -> Result<(), CliError> {
    let source = json!({
        "apiVersion": kinds::git_repository::KIND.api_version(), "kind": "GitRepository",
        "metadata": {"name": "fleet", "namespace": NAMESPACE},
        "spec": {"interval": "5s", "url": fleet, "ref": {"branch": "main"}},
    });
    let root = json!({
        "apiVersion": kinds::kustomization::KIND.api_version(), "kind": "Kustomization",
        "metadata": {"name": "fleet", "namespace": NAMESPACE},
        "spec": {
            "interval": "10m", "path": "./clusters/demo", "prune": true,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            "postBuild": {"substitute": places},
        },
    });
    let how = Apply { manager: MANAGER, force: false, dry_run: false };
    for document in [source, root] {
        cluster.apply(&document, &how).await?;
    }
    Ok(())
}

/// The shop's repository and how far its story is.
#[derive(Clone)]
struct Shop {
    repository: Arc<Repository>,
    /// The next commit of the story.
    step: Arc<Mutex<usize>>,
}

impl Shop {
    fn create(path: &Path) -> Result<Self, RepositoryError> {
        let repository = Repository::create(path)?;
        let files = story::beginning("shop");
        repository.commit(&files, "the shop as it begins")?;
        Ok(Shop { repository: Arc::new(repository), step: Arc::default() })
    }

    fn url(&self) -> String {
        self.repository.url()
    }

    /// Commits the next change; the answer is `<hash> <message>`. A commit that failed is tried again the next time.
    fn advance(&self) -> Result<String, RepositoryError> {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        // An automation may have committed too.
        let mut files = self.repository.files()?;
        let message = story::advance(&mut files, *step);
        let hash = self.repository.commit(&files, &message)?;
        *step += 1;
        Ok(format!("{hash} {message}"))
    }
}

impl From<RepositoryError> for CliError {
    fn from(error: RepositoryError) -> Self {
        CliError::config(error.to_string(), "look at the free space and at TMPDIR")
    }
}
