//! The one test binary: the law of the house, then the rooms from the outside.

mod cli;
mod embedded;
mod house;
mod reconcile;
mod rooms;
