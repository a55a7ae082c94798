//! What a person named: kinds in the words of flux and kubectl, and names.
//!
//! `ks`, `kustomizations apps web`, `sources git`, `source all`, `deploy/web`, `all`, `ingresses`: one grammar for every
//! command. Words are resolved against the registry first and the cluster last, so typos are met with the nearest word.
//! Start with [`pick`].

use super::CliError;
use crate::base::{Api, Id};
use crate::cluster::Cluster;
use crate::kinds::check::nearest;
use crate::kinds::{self, Family, Kind};

/// One kind and the objects of it; no names means all.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub api: Api,
    pub names: Vec<String>,
}

/// What the words of a command mean.
#[derive(Clone, Debug)]
pub struct Picked {
    pub wanted: Vec<Wanted>,
    /// A group of kinds was named: those that are not served or have no objects are left out.
    pub group: bool,
}

impl Wanted {
    /// Weir's description of the kind; the generic one for the unknown.
    pub fn kind(&self) -> &'static Kind {
        kinds::of(&self.api.group, &self.api.kind)
    }

    pub fn id(&self, namespace: &str, name: &str) -> Id {
        Id::new(&self.api.group, &self.api.kind, if self.api.namespaced { namespace } else { "" }, name)
    }
}

/// Flux's words for kinds where they differ from the kind's own names: family, word, group, kind.
const WORDS: &[(&str, &str, &str, &str)] = &[
    ("source", "git", "source.toolkit.fluxcd.io", "GitRepository"),
    ("source", "oci", "source.toolkit.fluxcd.io", "OCIRepository"),
    ("source", "helm", "source.toolkit.fluxcd.io", "HelmRepository"),
    ("source", "chart", "source.toolkit.fluxcd.io", "HelmChart"),
    ("source", "bucket", "source.toolkit.fluxcd.io", "Bucket"),
    ("source", "external", "source.toolkit.fluxcd.io", "ExternalArtifact"),
    ("image", "repository", "image.toolkit.fluxcd.io", "ImageRepository"),
    ("image", "policy", "image.toolkit.fluxcd.io", "ImagePolicy"),
    ("image", "update", "image.toolkit.fluxcd.io", "ImageUpdateAutomation"),
    ("artifact", "generator", "source.extensions.fluxcd.io", "ArtifactGenerator"),
    ("", "helmrelease", "helm.toolkit.fluxcd.io", "HelmRelease"),
    ("", "hr", "helm.toolkit.fluxcd.io", "HelmRelease"),
    ("", "alert", "notification.toolkit.fluxcd.io", "Alert"),
    ("", "alert-provider", "notification.toolkit.fluxcd.io", "Provider"),
    ("", "receiver", "notification.toolkit.fluxcd.io", "Receiver"),
];

/// Reads the words of a command and finds where the kinds are served.
///
/// Errors when a word is no kind, naming the nearest; when the cluster does not serve the kind.
pub async fn pick(cluster: &Cluster, words: &[String]) -> Result<Picked, CliError> {
    let Some((first, rest)) = words.split_first() else { return Err(no_kind_named()) };
    if first.contains('/') {
        return pairs(cluster, words).await;
    }
    let family = singular(first);
    if first == "all" {
        return group(kinds::reconciled(), rest);
    }
    if ["source", "image", "artifact"].contains(&family.as_str()) {
        return of_family(cluster, &family, rest).await;
    }
    let names: Vec<String> = rest.to_vec();
    let several: Vec<&str> = first.split(',').filter(|word| !word.is_empty()).collect();
    let mut wanted = Vec::new();
    for word in &several {
        wanted.push(Wanted { api: api(cluster, word).await?, names: names.clone() });
    }
    if several.len() > 1 && !names.is_empty() {
        return Err(CliError::user("names cannot follow several kinds", "write kind/name for each object"));
    }
    if wanted.is_empty() { Err(no_kind_named()) } else { Ok(Picked { wanted, group: false }) }
}

/// As [`pick`], for commands that work on named objects.
///
/// Errors also when no name is given.
pub async fn objects(cluster: &Cluster, words: &[String], namespace: &str) -> Result<Vec<Id>, CliError> {
    let picked = pick(cluster, words).await?;
    let mut ids = Vec::new();
    for wanted in &picked.wanted {
        if wanted.names.is_empty() {
            let kind = wanted.api.kind.to_lowercase();
            return Err(CliError::user("a name is required", format!("see the names with `weir get {kind}`")));
        }
        ids.extend(wanted.names.iter().map(|name| wanted.id(namespace, name)));
    }
    Ok(ids)
}

/// Exactly one object.
pub async fn object(cluster: &Cluster, words: &[String], namespace: &str) -> Result<Id, CliError> {
    let mut ids = objects(cluster, words, namespace).await?;
    match ids.len() {
        1 => Ok(ids.remove(0)),
        count => Err(CliError::user(format!("one object is wanted, and {count} are named"), "")),
    }
}

async fn pairs(cluster: &Cluster, words: &[String]) -> Result<Picked, CliError> {
    let mut wanted = Vec::new();
    for word in words {
        let Some((kind, name)) = word.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty())
        else {
            return Err(CliError::user(format!("{word:?} is not kind/name"), "write all objects as kind/name"));
        };
        wanted.push(Wanted { api: api(cluster, kind).await?, names: vec![name.to_owned()] });
    }
    Ok(Picked { wanted, group: false })
}

async fn of_family(cluster: &Cluster, family: &str, rest: &[String]) -> Result<Picked, CliError> {
    let words: Vec<&str> = WORDS.iter().filter(|entry| entry.0 == family).map(|entry| entry.1).collect();
    let hint = format!("write {family} followed by all or one of {}", words.join(", "));
    let Some((word, names)) = rest.split_first() else {
        return Err(CliError::user(format!("which {family}s?"), hint));
    };
    if word == "all" {
        let meant = match family {
            "source" => Some(Family::Source),
            "image" => Some(Family::Image),
            _ => None,
        };
        return group(kinds::ALL.iter().copied().filter(|kind| Some(kind.family) == meant), names);
    }
    let found = WORDS.iter().find(|entry| entry.0 == family && entry.1 == singular(word));
    let Some((_, _, group, kind)) = found else {
        let near = nearest(word, words.iter().copied()).map_or(String::new(), |near| format!(", did you mean {near}?"));
        return Err(CliError::user(format!("{family} {word}: unknown{near}"), hint));
    };
    let api = flux(cluster, group, kind).await?;
    Ok(Picked { wanted: vec![Wanted { api, names: names.to_vec() }], group: false })
}

fn group(kinds: impl Iterator<Item = &'static Kind>, names: &[String]) -> Result<Picked, CliError> {
    if !names.is_empty() {
        return Err(CliError::user("names cannot follow all", "name one kind, or write kind/name"));
    }
    let wanted = kinds.map(|kind| Wanted { api: kind.api(), names: Vec::new() }).collect();
    Ok(Picked { wanted, group: true })
}

/// Where the kind of one word is served.
async fn api(cluster: &Cluster, word: &str) -> Result<Api, CliError> {
    if let Some(kind) = kinds::find(word) {
        return Ok(kind.api());
    }
    let lower = singular(word);
    if let Some((_, _, group, kind)) = WORDS.iter().find(|entry| lower == entry.1 || lower == singular(entry.3)) {
        return flux(cluster, group, kind).await;
    }
    let served = cluster.served().await?;
    let named = |api: &&Api| {
        let kind = api.kind.to_lowercase();
        let word = word.to_lowercase();
        word == kind
            || word == api.plural
            || word
                .split_once('.')
                .is_some_and(|(name, group)| (name == kind || name == api.plural) && group == api.group)
    };
    if let Some(api) = served.iter().find(named) {
        return Ok(api.clone());
    }
    Err(unknown(word, &served))
}

async fn flux(cluster: &Cluster, group: &str, kind: &str) -> Result<Api, CliError> {
    let known = kinds::of(group, kind);
    if known.kind == kind {
        return Ok(known.api());
    }
    let found = cluster.find_api(group, kind, None).await?;
    found.ok_or_else(|| {
        let hint = match cluster.place().is_embedded() {
            true => "this weir does not reconcile that kind yet; `weir get all` shows what it does",
            false => "install its CustomResourceDefinition first",
        };
        CliError::cluster(format!("the cluster does not know the kind {kind}"), hint)
    })
}

/// The error for a word that is no kind, with the nearest one that is.
pub fn unknown(word: &str, served: &[Api]) -> CliError {
    let mut words: Vec<String> = Vec::new();
    for kind in kinds::ALL {
        words.extend(kind.short_names.iter().map(|name| (*name).to_owned()));
        words.extend([kind.kind.to_lowercase(), kind.plural.to_owned()]);
    }
    words.extend(WORDS.iter().filter(|entry| entry.0.is_empty()).map(|entry| entry.1.to_owned()));
    words.extend(["all".into(), "sources".into()]);
    words.extend(served.iter().flat_map(|api| [api.kind.to_lowercase(), api.plural.clone()]));
    let near = nearest(word, words.iter().map(String::as_str));
    let near = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
    CliError::user(format!("{word:?} is no kind{near}"), KINDS)
}

const KINDS: &str = "e.g. ks, sources git, deploy, all; `weir debug kinds` lists them";

fn no_kind_named() -> CliError {
    CliError::user("name a kind", KINDS)
}

/// Lower case without a plural ending: enough for Flux's own words.
fn singular(word: &str) -> String {
    let word = word.to_lowercase();
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    word.strip_suffix('s').map_or(word.clone(), str::to_owned)
}
