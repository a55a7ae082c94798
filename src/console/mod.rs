//! The console: messages in, effects out, and a frame that is a function of both.

pub mod actions;
pub mod keys;
pub mod look;
