//! The way to an API server: a kubeconfig or the embedded API. Decides nothing.
