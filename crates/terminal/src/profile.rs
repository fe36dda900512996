//! The cargo profile with which a tool is built.

/// Name of the profile, as its folder in `target` is named: `debug`, `release`, `dist`.
pub const PROFILE: &str = env!("BRAID_PROFILE");

/// Name of the profile for benchmarks and packages: thin LTO, one codegen unit.
pub const DIST: &str = "dist";
