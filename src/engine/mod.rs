//! Pure machines: values in, values out. No I/O, no clock, no logging, no tasks; a thread only within a call, where a
//! chart is large.

pub mod archive;
pub mod chart;
pub mod commit_message;
pub mod diff;
pub mod expression;
pub mod glob;
mod go_expand;
mod go_json;
mod go_regex;
pub mod ignore;
pub mod kustomize;
pub mod order;
pub mod policy;
pub mod release;
mod schema;
pub mod semver_range;
pub mod setters;
pub mod substitute;
pub mod template;
pub mod three_way;

pub use go_regex::go_regex;
