//! The Kubernetes API inside the binary. Knows nothing of Flux and is reached only through the wire.

pub mod patch;
pub mod schema;
