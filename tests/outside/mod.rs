//! The world outside a cluster, spoken to over its real protocols on loopback.

mod artifacts;
mod git;
mod helm;
mod hostile;
mod ignore;
mod oci;
mod push;
pub mod servers;
pub mod ssh;
pub mod web;
