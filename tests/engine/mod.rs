//! The engines from the outside: recorded cases, and comparisons with the programs they imitate.

mod kustomize;
mod template;
