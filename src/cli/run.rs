//! `weir run`: the reconcilers without a console, with their log on stderr.

use super::door::Door;
use super::rivals::{self, Tenure};
use super::session::{Session, connect_to};
use super::{CliError, Cx, log};
use crate::cluster::{Place, Target};
use crate::embedded::Access;
use crate::reconcile::Options;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    reconciling: Reconciling,
}

/// How weir reconciles, where it does.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Reconciling {
    /// Refuse Kustomizations whose bases lie in other places
    #[arg(long)]
    no_remote_bases: bool,

    /// Apply with the rights of this service account what names none
    #[arg(long, value_name = "NAME")]
    default_service_account: Option<String>,
}

impl Reconciling {
    pub fn options(&self) -> Options {
        Options {
            no_remote_bases: self.no_remote_bases,
            default_service_account: self.default_service_account.clone(),
            ..Options::default()
        }
    }
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let target = cx.global.target()?;
    let data = match &target {
        Target::Embedded { data } => Some(data.clone()),
        _ => None,
    };
    let activity = log::start(data.as_deref().map(log::path_in).as_deref(), true);
    let connected = connect_to(cx, &target).await?;
    let place = connected.cluster.place().clone();
    if let Place::Embedded { address: Some(address), .. } = &place {
        let hint = "use that one, stop it, or choose another directory with --data";
        return Err(CliError::config(format!("another weir reconciles there already, at {address}"), hint));
    }
    let tenure = match place.is_embedded() {
        true => None,
        false => Some(Tenure::begin(&connected.cluster).await?),
    };
    let lost = tenure.as_ref().map(Tenure::lost).unwrap_or_default();
    let door = match (&connected.embedded, &data) {
        (Some(embedded), Some(data)) => {
            let any_port = ([127, 0, 0, 1], 0).into();
            Some(Door::open(embedded, data, any_port, Access::fresh()).await?)
        }
        _ => None,
    };
    let mut session = Session::over(connected, activity).await;
    session.reconcile_as(args.reconciling.options()).await?;
    cx.output.success(format!("reconciling on {place}"));
    tokio::select! {
        () = super::signal::ended() => {}
        () = lost.cancelled() => {}
    }
    cx.output.action("stopping");
    if let Some(door) = door {
        door.close().await;
    }
    session.close().await;
    if let Some(tenure) = tenure {
        tenure.end().await;
    }
    if lost.is_cancelled() { Err(rivals::lost()) } else { Ok(()) }
}
