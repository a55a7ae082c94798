//! What kinds exist: one file per kind, and the registry from which trees, tables, CLI, permissions and docs derive.
//!
//! Pure: no kind calls an API. Start with [`Kind`].
