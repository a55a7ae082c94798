//! `weir serve`: the embedded API on loopback for kubectl, with the reconcilers at work on it.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::door::Door;
use super::run::Reconciling;
use super::session::{Session, connect_to};
use super::{CliError, Cx, log};
use crate::cluster::Target;
use crate::embedded::Access;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Loopback address to listen on; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Write a kubeconfig to this file too
    #[arg(long, value_name = "FILE")]
    write_kubeconfig: Option<PathBuf>,
    /// HTTP without TLS and token, for tests: every user of this machine can read everything
    #[arg(long)]
    plain: bool,
    /// Serve only, reconcile nothing
    #[arg(long)]
    no_reconcile: bool,
    #[command(flatten)]
    reconciling: Reconciling,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let data = cx.global.data_dir()?;
    let activity = log::start(Some(&log::path_in(&data)), true);
    let connected = connect_to(cx, &Target::Embedded { data: data.clone() }).await?;
    let Some(embedded) = connected.embedded.clone() else {
        let hint = "use that one, stop it, or choose another directory with --data";
        return Err(CliError::config(format!("another weir serves {} already", data.display()), hint));
    };
    let access = if args.plain { Access::Plain } else { Access::fresh() };
    let door = Door::open(&embedded, &data, args.listen, access).await?;
    drop(embedded);
    if let Some(path) = &args.write_kubeconfig {
        door.copy_kubeconfig(path)?;
    }
    let mut session = Session::over(connected, activity).await;
    if !args.no_reconcile {
        session.reconcile_as(args.reconciling.options()).await?;
    }
    let scheme = if args.plain { "http" } else { "https" };
    cx.output.success(format!("serving {} at {scheme}://{}", data.display(), door.address()));
    let kubeconfig = args.write_kubeconfig.as_deref().unwrap_or(door.kubeconfig());
    cx.output.more(format!("export KUBECONFIG={}", kubeconfig.display()));
    if args.plain {
        cx.output.warning("no TLS, no token: every user of this machine can read everything, Secrets too");
    }
    super::signal::ended().await;
    cx.output.action("stopping");
    door.close().await;
    session.close().await;
    Ok(())
}
