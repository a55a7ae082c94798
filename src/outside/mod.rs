//! Beyond the cluster: git, http, artifact files. Knows no kind.

pub mod artifacts;
pub mod bases;
pub mod download;
pub mod egress;
pub mod git;
pub mod helm_index;
pub mod http;
pub mod oci;
pub mod serve;
pub mod tags;
