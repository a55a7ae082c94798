//! The one test binary: the law of the house, then the rooms from the outside.

// Tests say what they skip and may be long stories.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::too_many_lines)]

mod base;
mod cli;
mod console;
mod crash;
mod embedded;
mod engine;
mod house;
mod outside;
mod reconcile;
mod rooms;
