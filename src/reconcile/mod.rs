//! The reconcilers: a shell that all share, a queue, and one file per reconciled kind.
