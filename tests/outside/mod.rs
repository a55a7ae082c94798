//! The world outside a cluster, spoken to over its real protocols on loopback.

mod artifacts;
mod git;
mod hostile;
mod ignore;
pub mod servers;
mod ssh;
