//! Gives the lease word loom's atomics.

fn main() {
    // Not `--cfg loom`, which would reach every crate: it takes whole modules away from tokio and hyper.
    println!("cargo::rustc-cfg=tower_local_service_loom");
    println!("cargo::rerun-if-changed=build.rs");
}
