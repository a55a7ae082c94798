//! The shared words from the outside.

mod hostile;
mod yaml;
