//! The world outside a cluster, spoken to over its real protocols on loopback.

mod artifacts;
mod git;
mod hostile;
mod ignore;
mod servers;
mod ssh;
