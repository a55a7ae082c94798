//! Beyond the cluster: git, http, artifact files. Knows no kind.

pub mod egress;
pub mod git;
pub mod http;
