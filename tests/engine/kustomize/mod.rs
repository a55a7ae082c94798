//! Kustomize: recorded cases (`cases/`), and runs beside the reference binary where there is one.
//!
//! `WEIR_KUSTOMIZE` names the reference, version 5.8.1. Without it the comparisons say so and pass.

mod addresses;
mod cases;
mod compare;
mod differential;
mod hostile;
mod mutate;
mod random;
