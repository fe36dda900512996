//! Parses objects whose numbers come in several notations.

use super::error::Failure;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde_json::{Map, Value};

/// An object of an input, with its path for messages.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    pub(super) path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Interprets `value` as an object.
    pub(super) fn new(path: impl Into<String>, value: &'a Value) -> Result<Self, Failure> {
        let path = path.into();
        match value.as_object() {
            Some(map) => Ok(Self { path, map }),
            None => Err(wrong(&path, "an object", value)),
        }
    }

    /// Returns the field with one of these names, unless it is missing or null.
    pub(super) fn get(&self, names: &[&str]) -> Option<(String, &'a Value)> {
        names.iter().find_map(|name| {
            let value = self.map.get(*name).filter(|value| !value.is_null())?;
            Some((format!("{}.{name}", self.path), value))
        })
    }

    fn read<T>(
        &self,
        names: &[&str],
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let Some((path, value)) = self.get(names) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(&path, expected, value))
    }

    /// Returns a number of up to 256 bits.
    pub(super) fn number(&self, names: &[&str]) -> Result<Option<U256>, Failure> {
        self.read(names, "a number, in hex after 0x or in decimal", number)
    }

    /// Returns a number of up to 64 bits.
    pub(super) fn small(&self, names: &[&str]) -> Result<Option<u64>, Failure> {
        self.read(names, "a number below 2^64", |value| number(value)?.try_into().ok())
    }

    /// Returns an address.
    pub(super) fn address(&self, names: &[&str]) -> Result<Option<Address>, Failure> {
        self.read(names, "an address", |value| address(value.as_str()?))
    }

    /// Returns a hash; shorter values are padded on the left.
    pub(super) fn hash(&self, names: &[&str]) -> Result<Option<B256>, Failure> {
        self.read(names, "32 bytes in hex", word)
    }

    /// Returns hexadecimal bytes.
    pub(super) fn bytes(&self, names: &[&str]) -> Result<Option<Bytes>, Failure> {
        self.read(names, "bytes in hex", |value| bytes(value.as_str()?))
    }

    /// Returns a list.
    pub(super) fn list(&self, names: &[&str]) -> Result<Option<(String, &'a [Value])>, Failure> {
        let Some((path, value)) = self.get(names) else { return Ok(None) };
        match value.as_array() {
            Some(list) => Ok(Some((path, list))),
            None => Err(wrong(&path, "a list", value)),
        }
    }

    /// Returns the entries of a field that is an object; empty if it is missing.
    pub(super) fn entries(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, Failure> {
        let map = match self.get(&[name]) {
            Some((path, value)) => {
                Some(value.as_object().ok_or_else(|| wrong(&path, "an object", value))?)
            }
            None => None,
        };
        Ok(map.into_iter().flatten())
    }

    /// Returns the failure for a missing field.
    pub(super) fn missing(&self, name: &str) -> Failure {
        Failure::json(format!("{}: missing required field '{name}'", self.path))
    }
}

/// Returns the failure for a `value` of the wrong form.
pub(super) fn wrong(path: &str, expected: &str, value: &Value) -> Failure {
    let mut found = value.to_string();
    if found.len() > 80 {
        found = format!("{}...", found.chars().take(77).collect::<String>());
    }
    Failure::json(format!("{path}: expected {expected}, found {found}"))
}

/// Parses a JSON number, a hexadecimal number with 0x, or a decimal number.
pub(super) fn number(value: &Value) -> Option<U256> {
    match value {
        Value::Number(number) => number.as_u64().map(U256::from),
        Value::String(text) => number_in(text),
        _ => None,
    }
}

/// Parses a hexadecimal number with 0x, or a decimal number. As in other tools, the empty string is
/// 0.
pub(super) fn number_in(text: &str) -> Option<U256> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match hex {
        Some("") => Some(U256::ZERO),
        Some(digits) => U256::from_str_radix(digits, 16).ok(),
        None if text.is_empty() => Some(U256::ZERO),
        None => U256::from_str_radix(text, 10).ok(),
    }
}

/// Parses a hexadecimal word of up to 32 bytes, with or without 0x.
pub(super) fn word(value: &Value) -> Option<B256> {
    let text = value.as_str()?;
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.is_empty() {
        return Some(B256::ZERO);
    }
    U256::from_str_radix(digits, 16).ok().map(B256::from)
}

/// Parses a hexadecimal address, with or without 0x.
pub(super) fn address(text: &str) -> Option<Address> {
    Address::try_from(bytes(text)?.as_ref()).ok()
}

/// Parses hexadecimal bytes, with or without 0x.
pub(super) fn bytes(text: &str) -> Option<Bytes> {
    hex::decode(text).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_come_in_three_notations() {
        for value in [json!("0x10"), json!("16"), json!(16), json!("0x0010")] {
            assert_eq!(number(&value), Some(U256::from(16)), "{value}");
        }
        assert_eq!(number(&json!("0x")), Some(U256::ZERO));
        for value in [json!("ten"), json!(-1), json!(1.5), json!("0xg"), json!(null)] {
            assert_eq!(number(&value), None, "{value}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let value = json!({"gas": "much", "list": {}});
        let fields = Fields::new("txs[3]", &value).unwrap();
        let error = fields.small(&["gas"]).unwrap_err();
        assert!(error.message.starts_with("txs[3].gas: expected a number"), "{error}");
        assert!(fields.list(&["list"]).is_err());
        assert_eq!(fields.hash(&["absent"]).unwrap(), None);
        assert_eq!(fields.missing("to").code(), 10);
    }
}
