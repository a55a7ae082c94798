//! Beyond the cluster: git, http, artifact files. Knows no kind.
