//! The shared words from the outside.

mod yaml;
