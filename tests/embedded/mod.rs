//! The embedded API as its clients see it: everything here goes through the wire.
//!
//! `cases/*.yaml` is the contract: it also runs against a real API server when `WEIR_TEST_KUBECONFIG` is set.

mod contract;
mod durable;
mod faults;
mod kubectl;
mod lifecycle;
mod property;
mod simulator;
