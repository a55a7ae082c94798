//! The picture of the cluster: objects, relations, changes, activity. Only `watch` writes it.
