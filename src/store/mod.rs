//! The picture of the cluster: objects, relations, changes, activity. Only [`watch`] writes it.
//!
//! Readers get shared handles and never wait for the network. A kind that cannot be read is a [`Feed`] that says so,
//! never an empty list. Start with [`Store`]; who writes is in `watch.rs`; the tree order is in `forest.rs`.

mod activity;
mod changes;
pub mod forest;
mod objects;
pub mod watch;

pub use activity::{Activity, Level, Line};
pub use changes::{Changes, Subscription};
pub use objects::{Entry, Feed, FeedLine, Store};
