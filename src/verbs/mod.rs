//! What a person may ask of the cluster, for the console and the CLI alike.
