//! `weir demo`: a living cluster without a cluster, in a temporary directory that goes when it ends.

pub mod repository;
pub mod story;
