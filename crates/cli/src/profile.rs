//! The cargo profile with which the tool was built.

pub use braid_terminal::{DIST, PROFILE};

/// Returns a warning if this build is not the one that the project's figures were measured with.
#[must_use]
pub fn warning() -> Option<String> {
    (PROFILE != DIST).then(|| {
        format!(
            "built with the profile {PROFILE}: for figures that can be compared, build the tool with \
             `--profile {DIST}`"
        )
    })
}
