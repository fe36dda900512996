//! Forms of values in JSON.

use core::fmt::Display;
use serde::Serializer;

/// Serializes a value as its text has it: an address with its checksum.
pub(crate) fn display<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}
