//! Forks by the names of transition tools.

use super::error::Failure;
use alloy_eips::eip7840::BlobParams;
use braid_blocks::fork::{NAMED, named};
use revm::primitives::hardfork::SpecId;

/// The rules of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Rules of the EVM.
    pub spec: SpecId,
    /// Delay of the difficulty bomb in blocks.
    pub bomb_delay: u64,
    /// Parameters of blobs, from Cancun.
    pub blobs: Option<BlobParams>,
    /// Whether the block applies the DAO fork.
    pub dao: bool,
}

/// Block number and time of the forks in the names of transitions.
const TRANSITION_BLOCK: u64 = 5;
const TRANSITION_TIME: u64 = 15_000;

/// Returns the names, for messages and help.
#[must_use]
pub fn names() -> String {
    let known = NAMED.iter().filter(|fork| !fork.is_for_suites());
    // These names occur only in names of transitions.
    let names =
        known.flat_map(|fork| fork.names).filter(|it| !matches!(**it, "EIP150Fork" | "Dao"));
    names.copied().collect::<Vec<_>>().join(", ")
}

/// Returns the rules of a block with this number and time on the chain called `name`: a fork, or a
/// transition such as `BerlinToLondonAt5` or `CancunToPragueAtTime15k`.
///
/// # Errors
/// Returns a failure if the name is unknown.
pub fn find(name: &str, number: u64, timestamp: u64) -> Result<Fork, Failure> {
    let unknown = || {
        let known = names();
        Failure::config(format!(
            "unsupported fork {name:?}; known are {known}, and transitions between them \
             (BerlinToLondonAt5, CancunToPragueAtTime15k). Extra EIPs (Fork+1344) and \
             Constantinople before its fix are not supported"
        ))
    };
    if let Some(fork) = plain(name) {
        return Ok(fork);
    }
    let (before, rest) = name.split_once("To").ok_or_else(unknown)?;
    let (after, begun) = if let Some(after) = rest.strip_suffix("AtTime15k") {
        (after, timestamp >= TRANSITION_TIME)
    } else {
        (rest.strip_suffix("At5").ok_or_else(unknown)?, number >= TRANSITION_BLOCK)
    };
    let (before, mut after) =
        (plain(before).ok_or_else(unknown)?, plain(after).ok_or_else(unknown)?);
    after.dao &= number == TRANSITION_BLOCK;
    Ok(if begun { after } else { before })
}

fn plain(name: &str) -> Option<Fork> {
    let known = named(name).filter(|fork| !fork.is_for_suites())?;
    let (spec, bomb_delay) = (known.spec, known.bomb_delay);
    Some(Fork { spec, bomb_delay, blobs: known.blobs(), dao: known.is_dao() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, number: u64, timestamp: u64) -> SpecId {
        find(name, number, timestamp).unwrap().spec
    }

    #[test]
    fn transitions_happen_at_their_block_or_time() {
        assert_eq!(spec("BerlinToLondonAt5", 4, 0), SpecId::BERLIN);
        assert_eq!(spec("BerlinToLondonAt5", 5, 0), SpecId::LONDON);
        assert_eq!(spec("CancunToPragueAtTime15k", 9, 14_999), SpecId::CANCUN);
        assert_eq!(spec("CancunToPragueAtTime15k", 9, 15_000), SpecId::PRAGUE);
        assert_eq!(spec("HomesteadToEIP150At5", 5, 0), SpecId::TANGERINE);
        let dao = |number| find("HomesteadToDaoAt5", number, 0).unwrap().dao;
        assert_eq!([4, 5, 6].map(dao), [false, true, false]);
    }

    #[test]
    fn unknown_names_are_refused() {
        for name in ["", "Pragu", "Frontier+1344", "Constantinople", "BerlinToLondonAt6", "To"] {
            assert_eq!(find(name, 1, 1).unwrap_err().code(), 3, "{name}");
        }
    }
}
