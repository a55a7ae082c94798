//! Weir: the GitOps control room in a terminal. One process with one picture of the cluster.
//!
//! Watches write the picture; reconcilers and the console only read it. Both change the world the same way, by writing
//! to a Kubernetes API, and learn the result the same way, by the watch. So the cluster is the only message bus between
//! the console and the reconcilers, and the console works unchanged on a remote weir or on upstream Flux.
//! Every kind is described once, and trees, tables, CLI, help, triggers, permissions and docs derive from that.
//!
//! # The house
//!
//! Imports point down only; rooms of one floor do not know each other, except where "may import" says so.
//! `tests/house.rs` parses this table and holds the code to it: the picture and the law are one text.
//!
//! | floor | room | holds | may import | never |
//! | --- | --- | --- | --- | --- |
//! | 4 | `cli` | one file per command; wiring; the only printer | base kinds config engine embedded outside cluster store verbs reconcile console | be imported |
//! | 3 | `console` | messages, update, screens, widgets, effects | base kinds config store verbs | `.await` outside run.rs and effects.rs |
//! | 3 | `reconcile` | the shell, the queue, one file per reconciled kind | base kinds config engine store cluster outside | write status outside the shell |
//! | 2 | `verbs` | what a person may ask: reconcile, suspend, resume, edit, delete, describe, diff, logs | base kinds engine store cluster outside | know a screen or a flag |
//! | 2 | `store` | the picture: objects, relations, changes, activity | base kinds cluster | call the API except to watch; be written by anyone else |
//! | 1 | `cluster` | the way to an API server: connect (kubeconfig or embedded), apply, patch, delete, leases | base kinds embedded | decide anything |
//! | 1 | `embedded` | the Kubernetes API inside the binary: durable store, watch, patches, server-side apply, discovery, simulated workloads | base | know Flux; be reached other than through the wire |
//! | 1 | `outside` | beyond the cluster: git, http, artifact files | base engine | know a kind |
//! | 0 | `engine` | pure machines: kustomize, Helm templates and charts, policies and setters, substitution, merges, CEL, diffs, archives | base | do I/O, read a clock, start what outlives a call, log |
//! | 0 | `kinds` | one file per kind; the registry | base | call an API |
//! | 0 | `config` | parse, merge and check settings, keymaps, themes | base | read files |
//! | 0 | `base` | the shared words | nothing | grow a "util" |
//!
//! Four single places, which the house test names too: only `store::watch` writes the store; only `cluster` writes to the
//! API; only `reconcile::shell` writes status; only `console::update` changes console state.
//!
//! # Where to start
//!
//! `kinds::git_repository` → `reconcile::git_repository` → `reconcile::shell` → `console::message` →
//! `console::screens::list`. Five files; the rest is variation.

pub mod base;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod console;
pub mod embedded;
pub mod engine;
pub mod kinds;
pub mod outside;
pub mod reconcile;
pub mod store;
pub mod verbs;
