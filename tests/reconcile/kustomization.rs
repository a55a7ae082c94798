//! The Kustomization reconciler, from the source to the cluster.
