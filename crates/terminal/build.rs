//! Tells the tools with which profile they are built: figures depend on it.

use std::{env, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // `PROFILE` says `release` for every profile that inherits from it; the folder has the name:
    // `target/NAME/build/PACKAGE/out`.
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    let name = Path::new(&out).ancestors().nth(3).and_then(Path::file_name);
    let name = name.map(|name| name.to_string_lossy()).unwrap_or_default();
    println!("cargo::rustc-env=BRAID_PROFILE={name}");
}
