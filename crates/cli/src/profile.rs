//! The cargo profile that the tool is built with.

/// Name of the profile, as its folder below `target` has it: `debug`, `release`, `dist`.
pub const PROFILE: &str = env!("BRAID_PROFILE");

/// The profile for figures and packages: thin LTO, one codegen unit.
pub const DIST: &str = "dist";

/// Why figures of this build are not those of the project, if they are not.
#[must_use]
pub fn warning() -> Option<String> {
    (PROFILE != DIST).then(|| {
        format!(
            "built with the profile {PROFILE}: for figures that can be compared, use \
             `cargo run --profile {DIST} -p braid-cli -- ...`"
        )
    })
}
