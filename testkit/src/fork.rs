//! Forks by name, as block files write them, and the blob parameters that belong to them.

use alloy_eips::eip7840::BlobParams;
use alloy_hardforks::ethereum::{
    HOLESKY_BPO1_TIMESTAMP, HOLESKY_BPO2_TIMESTAMP, HOODI_BPO1_TIMESTAMP, HOODI_BPO2_TIMESTAMP,
    MAINNET_BPO1_TIMESTAMP, MAINNET_BPO2_TIMESTAMP, SEPOLIA_BPO1_TIMESTAMP, SEPOLIA_BPO2_TIMESTAMP,
};
use revm::primitives::hardfork::SpecId;

/// Chain id of Ethereum mainnet.
pub const MAINNET: u64 = 1;
/// Chain id of the Holesky test network.
pub const HOLESKY: u64 = 17_000;
/// Chain id of the Hoodi test network.
pub const HOODI: u64 = 560_048;
/// Chain id of the Sepolia test network.
pub const SEPOLIA: u64 = 11_155_111;

/// Every fork a block file may name, oldest first, under the name that files use.
pub const FORKS: [(&str, SpecId); 15] = [
    ("FRONTIER", SpecId::FRONTIER),
    ("HOMESTEAD", SpecId::HOMESTEAD),
    ("TANGERINE", SpecId::TANGERINE),
    ("SPURIOUS_DRAGON", SpecId::SPURIOUS_DRAGON),
    ("BYZANTIUM", SpecId::BYZANTIUM),
    ("PETERSBURG", SpecId::PETERSBURG),
    ("ISTANBUL", SpecId::ISTANBUL),
    ("BERLIN", SpecId::BERLIN),
    ("LONDON", SpecId::LONDON),
    ("MERGE", SpecId::MERGE),
    ("SHANGHAI", SpecId::SHANGHAI),
    ("CANCUN", SpecId::CANCUN),
    ("PRAGUE", SpecId::PRAGUE),
    ("OSAKA", SpecId::OSAKA),
    ("AMSTERDAM", SpecId::AMSTERDAM),
];

/// The fork called `name`, in any mixture of upper and lower case; `None` if there is none.
///
/// Both the names of [`FORKS`] and the shorter ones that revm prints ("Spurious") are known, and
/// "Paris", which revm calls the merge.
#[must_use]
pub fn parse(name: &str) -> Option<SpecId> {
    let upper = name.to_ascii_uppercase();
    let wanted = match upper.as_str() {
        "SPURIOUS" => "SPURIOUS_DRAGON",
        "PARIS" => "MERGE",
        other => other,
    };
    FORKS.iter().find(|(known, _)| *known == wanted).map(|(_, spec)| *spec)
}

/// The name that block files use for `spec`.
#[must_use]
pub fn name(spec: SpecId) -> &'static str {
    FORKS.iter().find(|(_, known)| *known == spec).map_or("UNKNOWN", |(name, _)| name)
}

/// All known names in one line, for messages.
#[must_use]
pub fn known_names() -> String {
    FORKS.map(|(name, _)| name).join(", ")
}

/// Blob parameters in force under `spec` at `timestamp` (seconds), with the
/// blob-parameter-only forks of the chain `chain_id`; `None` before Cancun.
#[must_use]
pub fn blob_params(spec: SpecId, chain_id: u64, timestamp: u64) -> Option<BlobParams> {
    if !spec.is_enabled_in(SpecId::CANCUN) {
        return None;
    }
    if !spec.is_enabled_in(SpecId::PRAGUE) {
        return Some(BlobParams::cancun());
    }
    if !spec.is_enabled_in(SpecId::OSAKA) {
        return Some(BlobParams::prague());
    }
    let (first, second) = match chain_id {
        MAINNET => (MAINNET_BPO1_TIMESTAMP, MAINNET_BPO2_TIMESTAMP),
        HOLESKY => (HOLESKY_BPO1_TIMESTAMP, HOLESKY_BPO2_TIMESTAMP),
        HOODI => (HOODI_BPO1_TIMESTAMP, HOODI_BPO2_TIMESTAMP),
        SEPOLIA => (SEPOLIA_BPO1_TIMESTAMP, SEPOLIA_BPO2_TIMESTAMP),
        _ => return Some(BlobParams::osaka()),
    };
    Some(if timestamp >= second {
        BlobParams::bpo2()
    } else if timestamp >= first {
        BlobParams::bpo1()
    } else {
        BlobParams::osaka()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fork_is_found_by_both_of_its_names() {
        for (name, spec) in FORKS {
            assert_eq!(parse(name), Some(spec));
            assert_eq!(parse(&name.to_lowercase()), Some(spec));
            assert_eq!(parse(&spec.to_string()), Some(spec), "revm's own name");
            assert_eq!(super::name(spec), name);
        }
        assert_eq!(parse("Paris"), Some(SpecId::MERGE));
        assert_eq!(parse("Pragu"), None);
    }

    #[test]
    fn every_fork_revm_knows_is_listed() {
        assert_eq!(FORKS.len(), usize::from(SpecId::NEXT as u8) + 1);
    }

    #[test]
    fn blob_parameters_follow_fork_chain_and_time() {
        assert_eq!(blob_params(SpecId::SHANGHAI, MAINNET, 0), None);
        assert_eq!(blob_params(SpecId::CANCUN, MAINNET, u64::MAX), Some(BlobParams::cancun()));
        assert_eq!(blob_params(SpecId::PRAGUE, SEPOLIA, u64::MAX), Some(BlobParams::prague()));
        let osaka = |time| blob_params(SpecId::OSAKA, MAINNET, time);
        assert_eq!(osaka(1_765_290_070), Some(BlobParams::osaka()));
        assert_eq!(osaka(1_765_290_071), Some(BlobParams::bpo1()));
        assert_eq!(osaka(1_767_747_671), Some(BlobParams::bpo2()));
        assert_eq!(blob_params(SpecId::OSAKA, 1337, u64::MAX), Some(BlobParams::osaka()));
    }
}
