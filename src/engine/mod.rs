//! Pure machines: values in, values out. No I/O, no clock, no spawning, no logging.

pub mod archive;
pub mod chart;
pub mod diff;
mod go_json;
pub mod ignore;
pub mod kustomize;
pub mod order;
pub mod release;
pub mod semver_range;
pub mod substitute;
pub mod template;
