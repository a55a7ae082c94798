//! The engines from the outside: recorded cases, and comparisons with the programs they imitate.

mod archive;
mod chart;
mod kustomize;
mod template;
