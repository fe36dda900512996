//! Forms of values in JSON.

use core::fmt::Display;
use serde::Serializer;

/// Serializes the text of a value, which for an address has the checksum (EIP-55).
pub(crate) fn display<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}
