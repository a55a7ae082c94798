//! What the commands that change objects share: find the objects, ask one after the other, tell what came of each.

use super::pick::{objects, pick};
use super::session::Session;
use super::{CliError, Cx};
use crate::base::{Id, Text};
use crate::kinds::{self, Verb};
use crate::verbs::{self, Ask};

/// Which objects a verb is for.
#[derive(clap::Args, Debug)]
pub struct Objects {
    /// Kind and names, e.g. ks apps; source git podinfo; ks/apps gitrepo/podinfo
    #[arg(value_name = "KIND", required = true)]
    pub words: Vec<String>,
    /// All objects of the kind in the namespace
    #[arg(long)]
    pub all: bool,
}

impl Objects {
    /// The ids that are meant.
    ///
    /// Errors when names are missing, when there are names beside --all, and when --all finds nothing.
    pub async fn ids(&self, cx: &Cx, session: &Session) -> Result<Vec<Id>, CliError> {
        let (cluster, namespace) = (&session.desk.cluster, cx.global.namespace());
        if !self.all {
            return objects(cluster, &self.words, &namespace).await;
        }
        let mut ids = Vec::new();
        for wanted in pick(cluster, &self.words).await?.wanted {
            if !wanted.names.is_empty() {
                return Err(CliError::user("names and --all exclude each other", ""));
            }
            let within = Some(namespace.as_str()).filter(|_| wanted.api.namespaced);
            ids.extend(cluster.list(&wanted.api, within, None).await?.iter().filter_map(Id::of));
        }
        if ids.is_empty() {
            return Err(CliError::user(format!("nothing found in the namespace {namespace}"), "name one with -n"));
        }
        Ok(ids)
    }
}

/// How a verb is told.
pub struct Telling {
    /// e.g. `suspending`.
    pub doing: &'static str,
}

/// Asks for a verb on each object in turn; one that fails does not keep the others from being asked.
///
/// Errors after all were asked, when any failed.
pub async fn each(cx: &Cx, session: &Session, ids: &[Id], verb: Verb, telling: &Telling) -> Result<(), CliError> {
    let mut failed = 0;
    for id in ids {
        match one(cx, session, id, verb, telling).await {
            Ok(message) => cx.output.success(message.as_str()),
            Err(error) => {
                cx.output.error(&error);
                failed += 1;
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(CliError::user("", "")) }
}

async fn one(cx: &Cx, session: &Session, id: &Id, verb: Verb, telling: &Telling) -> Result<Text, CliError> {
    let kind = kinds::of_id(id);
    if !kind.offers(verb) {
        let offered: Vec<&str> = kind.verbs.iter().map(|verb| verb.name()).collect();
        return Err(CliError::user(
            format!("{} of {id} is not possible", verb.name()),
            format!("a {} takes {}", id.kind, offered.join(", ")),
        ));
    }
    let place = if id.namespace.is_empty() { String::new() } else { format!(" in the namespace {}", id.namespace) };
    cx.output.action(format!("{} {} {}{place}", telling.doing, id.kind, id.name));
    let waiting = |words: Text| cx.output.wait(words.as_str());
    let outcome = session.within(cx, verbs::ask(&session.desk, Ask::Verb(verb, id.clone()), &waiting)).await?;
    Ok(outcome.message)
}
