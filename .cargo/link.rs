//! How the weir command is linked. Cargo runs this as its build script.
//!
//! On Linux the executable gets a fixed address, like those of flux, kubectl and helm. A movable one has 100,000
//! addresses to correct at every start: that is 2.5 of 10 ms and 5.5 of 20 MB of a small `weir build`. Stack, heap and
//! libraries still lie at random addresses.

#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo::rerun-if-changed=.cargo/link.rs");
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
