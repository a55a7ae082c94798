//! The terminal console: messages in, effects out, frames drawn from what the store holds.
