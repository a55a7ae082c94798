//! The one test binary: the law of the house, then the rooms from the outside.

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
