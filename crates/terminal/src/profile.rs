//! The cargo profile that a tool is built with.

/// Name of the profile, as its folder below `target` has it: `debug`, `release`, `dist`.
pub const PROFILE: &str = env!("BRAID_PROFILE");

/// The profile for figures and packages: thin LTO, one codegen unit.
pub const DIST: &str = "dist";
