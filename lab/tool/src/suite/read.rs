//! Parses values in the notations of test suites.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Deserializer, de::Error};
use std::borrow::Cow;

/// A number: hexadecimal with or without prefix and leading zeros, decimal, or a JSON number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// A number of at most 256 bits.
    Fits(U256),
    /// A larger number, which fits into no transaction and no header.
    TooLarge,
}

impl Default for Number {
    fn default() -> Self {
        Self::Fits(U256::ZERO)
    }
}

impl Number {
    /// Returns the number, clamped to 256 bits.
    pub(super) fn saturating(self) -> U256 {
        match self {
            Self::Fits(value) => value,
            Self::TooLarge => U256::MAX,
        }
    }

    /// Returns the number, if it has at most 64 bits.
    pub(super) fn to_u64(self) -> Option<u64> {
        u64::try_from(self.saturating()).ok()
    }

    fn parse(text: &str) -> Option<Self> {
        // Some tests mark values that are too large on purpose.
        let text = text.strip_prefix("0x:bigint ").unwrap_or(text);
        let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
            if text.is_empty() {
                return Some(Self::default());
            }
            let decimal = text.bytes().all(|byte| byte.is_ascii_digit());
            return if decimal { Self::in_radix(text, 10) } else { Self::in_radix(text, 16) };
        };
        if digits.is_empty() { Some(Self::default()) } else { Self::in_radix(digits, 16) }
    }

    fn in_radix(digits: &str, radix: u64) -> Option<Self> {
        if !digits.chars().all(|digit| digit.is_digit(if radix == 10 { 10 } else { 16 })) {
            return None;
        }
        Some(U256::from_str_radix(digits, radix).map_or(Self::TooLarge, Self::Fits))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a> {
            Number(u64),
            #[serde(borrow)]
            Text(Cow<'a, str>),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(Self::Fits(U256::from(value))),
            Written::Text(text) => Self::parse(&text)
                .ok_or_else(|| D::Error::custom(format!("expected a number, found {text:?}"))),
        }
    }
}

/// Parses slots and their values, as numbers of any length.
pub(super) fn storage<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(U256, U256)>, D::Error> {
    let slots = Option::<std::collections::BTreeMap<Text<'de>, Number>>::deserialize(deserializer)?;
    let slots = slots.unwrap_or_default().into_iter();
    slots
        .map(|(slot, value)| {
            let slot = Number::parse(&slot.0)
                .ok_or_else(|| D::Error::custom(format!("expected a slot, found {:?}", slot.0)))?;
            Ok((slot.saturating(), value.saturating()))
        })
        .collect()
}

/// A string, borrowed from the input if possible.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Parses hexadecimal bytes, with or without prefix.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = Option::<Text<'de>>::deserialize(deserializer)?;
    let text = text.as_ref().map_or("", |text| text.0.as_ref());
    let digits = text.strip_prefix("0x:bigint ").unwrap_or(text);
    alloy_primitives::hex::decode(digits)
        .map(Bytes::from)
        .map_err(|error| D::Error::custom(format!("expected bytes: {error}")))
}

/// Hexadecimal bytes, as an element of a list.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Hex(#[serde(deserialize_with = "bytes")] pub(super) Bytes);

/// Parses a receiver: a missing field, null and the empty string all mean a contract creation.
pub(super) fn receiver<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Address>, D::Error> {
    let text = Option::<Text<'de>>::deserialize(deserializer)?;
    let text = text.as_ref().map_or("", |text| text.0.as_ref());
    if text.is_empty() || text == "0x" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error| D::Error::custom(format!("expected an address: {error}")))
}

/// A hash, or a shorter number padded to 32 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(pub(super) B256);

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Number::deserialize(deserializer).map(|number| Self(B256::from(number.saturating())))
    }
}

/// Parses names of exceptions: one string separated by `|`, or a list.
pub(super) fn exceptions<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Many(Vec<String>),
    }
    let written = match Option::<Written>::deserialize(deserializer)? {
        None => return Ok(Vec::new()),
        Some(Written::One(one)) => vec![one],
        Some(Written::Many(many)) => many,
    };
    let names = written.iter().flat_map(|names| names.split('|')).map(str::trim);
    Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}
