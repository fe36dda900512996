//! The cargo profile that the tool is built with.

pub use braid_terminal::{DIST, PROFILE};

/// Why figures of this build are not those of the project, if they are not.
#[must_use]
pub fn warning() -> Option<String> {
    (PROFILE != DIST).then(|| {
        format!(
            "built with the profile {PROFILE}: for figures that can be compared, build the tool with \
             `--profile {DIST}`"
        )
    })
}
