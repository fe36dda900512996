//! Locations of the state at which transactions can conflict, and their notation on the command
//! line.

use alloy_primitives::{Address, U256};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A location of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Location {
    /// Native balance of an account.
    Balance(Address),
    /// Nonce of an account.
    Nonce(Address),
    /// Code of an account, or its absence.
    Code(Address),
    /// Storage slot of a contract.
    Slot(Address, U256),
}

impl Location {
    /// Returns the account of the location.
    #[must_use]
    pub const fn account(&self) -> Address {
        match self {
            Self::Balance(account)
            | Self::Nonce(account)
            | Self::Code(account)
            | Self::Slot(account, _) => *account,
        }
    }
}

/// Writes the command line's notation: `ADDRESS.balance`, `ADDRESS.nonce`, `ADDRESS.code`,
/// `ADDRESS:SLOT`.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balance(account) => write!(f, "{account}.balance"),
            Self::Nonce(account) => write!(f, "{account}.nonce"),
            Self::Code(account) => write!(f, "{account}.code"),
            Self::Slot(account, slot) => write!(f, "{account}:{slot:#x}"),
        }
    }
}

/// A text that names no location of the state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected {expected}, found \"{found}\"{}", if found.contains("..") { "; write the address in full" } else { "" })]
pub struct LocationError {
    expected: &'static str,
    found: String,
}

const LOCATION: &str = "ADDRESS:SLOT, ADDRESS.balance, ADDRESS.nonce or ADDRESS.code";
const TARGET: &str = "ADDRESS, ADDRESS:SLOT, ADDRESS.balance, ADDRESS.nonce or ADDRESS.code";

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let wrong = || LocationError { expected: LOCATION, found: text.to_owned() };
        // In the texts of the tool, a colon follows a location.
        let text = text.strip_suffix(':').unwrap_or(text);
        if let Some((account, slot)) = text.split_once(':') {
            let slot = slot.parse().map_err(|_| wrong())?;
            return Ok(Self::Slot(account.parse().map_err(|_| wrong())?, slot));
        }
        let (account, field) = text.split_once('.').ok_or_else(wrong)?;
        let account = account.parse().map_err(|_| wrong())?;
        match field {
            "balance" => Ok(Self::Balance(account)),
            "nonce" => Ok(Self::Nonce(account)),
            "code" => Ok(Self::Code(account)),
            _ => Err(wrong()),
        }
    }
}

/// Target of a question: one location, or all locations of a contract or sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Everything that belongs to an account.
    Account(Address),
    /// One location.
    Location(Location),
}

impl Target {
    /// Returns whether the target includes `location`.
    #[must_use]
    pub fn covers(&self, location: &Location) -> bool {
        match self {
            Self::Account(account) => *account == location.account(),
            Self::Location(one) => one == location,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => account.fmt(f),
            Self::Location(location) => location.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if let Ok(account) = text.parse() {
            return Ok(Self::Account(account));
        }
        let location = text.parse().map(Self::Location);
        location.map_err(|error: LocationError| LocationError { expected: TARGET, ..error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let account = Address::repeat_byte(0xab);
        for location in [
            Location::Balance(account),
            Location::Nonce(account),
            Location::Code(account),
            Location::Slot(account, U256::ZERO),
            Location::Slot(account, U256::MAX),
        ] {
            assert_eq!(location.to_string().parse(), Ok(location));
            assert_eq!(location.to_string().parse(), Ok(Target::Location(location)));
            // As copied from a line of the tool, where a colon follows.
            assert_eq!(format!("{location}:").parse(), Ok(Target::Location(location)));
            assert_eq!(location.account(), account);
            assert!(Target::Account(account).covers(&location));
            assert!(!Target::Account(Address::ZERO).covers(&location));
        }
        assert_eq!(account.to_string().parse(), Ok(Target::Account(account)));
        let decimal: Location = format!("{account}:10").parse().unwrap();
        assert_eq!(decimal, Location::Slot(account, U256::from(10)));
        let short = "0xA0b8...eB48".parse::<Target>().unwrap_err().to_string();
        assert!(short.contains("in full"), "{short}");
    }

    #[test]
    fn what_names_no_location_is_refused_with_what_would() {
        let account = Address::repeat_byte(1);
        for text in
            ["", "0x1", "counter", "0x1:0", &format!("{account}:x"), &format!("{account}.x")]
        {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("ADDRESS:SLOT") && error.contains(text), "{error}");
        }
        let whole = account.to_string().parse::<Location>().unwrap_err().to_string();
        assert!(whole.starts_with("expected ADDRESS:SLOT,"), "{whole}");
    }
}
