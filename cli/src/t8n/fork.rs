//! Forks by the names that transition tools use.

use super::error::Failure;
use alloy_eips::eip7840::BlobParams;
use revm::primitives::hardfork::SpecId;

/// The rules of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Rules of the EVM.
    pub spec: SpecId,
    /// Blocks by which the difficulty bomb is put off.
    pub bomb_delay: u64,
    /// Blobs, from Cancun.
    pub blobs: Option<BlobParams>,
    /// Whether the block carries out the DAO fork.
    pub dao: bool,
}

/// Names with their rules and the delay of the difficulty bomb in blocks. geth's name comes first;
/// the executable specification's follows, where it is another one.
const FORKS: [(&str, SpecId, u64); 30] = [
    ("Frontier", SpecId::FRONTIER, 0),
    ("Homestead", SpecId::HOMESTEAD, 0),
    ("EIP150", SpecId::TANGERINE, 0),
    ("TangerineWhistle", SpecId::TANGERINE, 0),
    ("EIP158", SpecId::SPURIOUS_DRAGON, 0),
    ("SpuriousDragon", SpecId::SPURIOUS_DRAGON, 0),
    ("Byzantium", SpecId::BYZANTIUM, 3_000_000),
    ("ConstantinopleFix", SpecId::PETERSBURG, 5_000_000),
    ("Petersburg", SpecId::PETERSBURG, 5_000_000),
    ("Istanbul", SpecId::ISTANBUL, 5_000_000),
    ("MuirGlacier", SpecId::ISTANBUL, 9_000_000),
    ("Berlin", SpecId::BERLIN, 9_000_000),
    ("London", SpecId::LONDON, 9_700_000),
    ("ArrowGlacier", SpecId::LONDON, 10_700_000),
    ("GrayGlacier", SpecId::LONDON, 11_400_000),
    ("Merge", SpecId::MERGE, 0),
    ("Paris", SpecId::MERGE, 0),
    ("Shanghai", SpecId::SHANGHAI, 0),
    ("Cancun", SpecId::CANCUN, 0),
    ("Prague", SpecId::PRAGUE, 0),
    ("Osaka", SpecId::OSAKA, 0),
    ("BPO1", SpecId::OSAKA, 0),
    ("BPO2", SpecId::OSAKA, 0),
    ("BPO3", SpecId::OSAKA, 0),
    ("BPO4", SpecId::OSAKA, 0),
    ("Amsterdam", SpecId::AMSTERDAM, 0),
    // The block of the DAO fork, whatever its number.
    ("DAOFork", SpecId::HOMESTEAD, 0),
    ("DaoFork", SpecId::HOMESTEAD, 0),
    // What the transitions below are called after.
    ("EIP150Fork", SpecId::TANGERINE, 0),
    ("Dao", SpecId::HOMESTEAD, 0),
];

/// Block number and time of the forks in the names of transitions.
const TRANSITION_BLOCK: u64 = 5;
const TRANSITION_TIME: u64 = 15_000;

/// The names, for messages and help.
#[must_use]
pub fn names() -> String {
    let names = FORKS.iter().map(|(name, ..)| *name);
    let shown = names.filter(|name| !matches!(*name, "DaoFork" | "EIP150Fork" | "Dao"));
    shown.collect::<Vec<_>>().join(", ")
}

/// The rules of a block with this number and time on the chain called `name`: a fork, or a
/// transition such as `BerlinToLondonAt5` or `CancunToPragueAtTime15k`.
///
/// # Errors
/// An unknown name.
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
    let known = FORKS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    let (name, spec, bomb_delay) = *known?;
    let dao = matches!(name, "DAOFork" | "DaoFork" | "Dao");
    Some(Fork { spec, bomb_delay, blobs: blobs(name, spec), dao })
}

/// Blob parameters of the fork.
fn blobs(name: &str, spec: SpecId) -> Option<BlobParams> {
    let only = |target_blob_count, max_blob_count, update_fraction| BlobParams {
        target_blob_count,
        max_blob_count,
        update_fraction,
        ..BlobParams::osaka()
    };
    Some(match (name, spec) {
        ("BPO1", _) => BlobParams::bpo1(),
        ("BPO2", _) | (_, SpecId::AMSTERDAM) => BlobParams::bpo2(),
        // Networks for tests have two more, which no public chain has yet.
        ("BPO3", _) => only(21, 32, 20_609_697),
        ("BPO4", _) => only(14, 21, 13_739_630),
        (_, SpecId::CANCUN) => BlobParams::cancun(),
        (_, SpecId::PRAGUE) => BlobParams::prague(),
        (_, SpecId::OSAKA) => BlobParams::osaka(),
        _ => return None,
    })
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
