//! When a person or the system wants this process to end.

use tokio::signal::unix::{SignalKind, signal};

/// Comes back on the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once.
pub async fn ended() {
    any().await;
    tokio::spawn(async {
        any().await;
        std::process::exit(130);
    });
}

async fn any() {
    tokio::select! {
        () = next(SignalKind::interrupt()) => {}
        () = next(SignalKind::terminate()) => {}
        () = next(SignalKind::hangup()) => {}
    }
}

async fn next(kind: SignalKind) {
    match signal(kind) {
        Ok(mut stream) => drop(stream.recv().await),
        // Without the signal there is nothing to wait for: its default action ends the process.
        Err(_) => std::future::pending().await,
    }
}
