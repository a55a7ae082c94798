//! Pure machines: values in, values out. No I/O, no clock, no spawning, no logging.

pub mod archive;
pub mod ignore;
pub mod semver_range;
