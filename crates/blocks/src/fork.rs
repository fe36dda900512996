//! Forks by the names in block files, transition tools and test suites, with their blob parameters.

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

/// Rules, with their names in block files, transition tools and test suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Name in block files; `None` if only the difficulty bomb or the blobs differ from another
    /// fork.
    file_name: Option<&'static str>,
    /// Names in tools and suites; the first one is geth's.
    pub names: &'static [&'static str],
    /// Rules of the EVM.
    pub spec: SpecId,
    /// Delay of the difficulty bomb in blocks.
    pub bomb_delay: u64,
}

impl Fork {
    const fn new(file_name: &'static str, spec: SpecId, names: &'static [&'static str]) -> Self {
        Self { file_name: Some(file_name), names, spec, bomb_delay: 0 }
    }

    /// Creates other names for the rules of `spec`.
    const fn like(spec: SpecId, names: &'static [&'static str]) -> Self {
        Self { file_name: None, names, spec, bomb_delay: 0 }
    }

    const fn bomb(self, bomb_delay: u64) -> Self {
        Self { bomb_delay, ..self }
    }

    /// Returns whether only test suites know the fork, so that tools reject it.
    #[must_use]
    pub fn is_for_suites(&self) -> bool {
        matches!(self.names, ["BPO5"] | ["EIP7928"])
    }

    /// Returns whether this is the fork that moved the balances of the DAO.
    #[must_use]
    pub fn is_dao(&self) -> bool {
        self.names[0] == "DAOFork"
    }

    /// Returns the blob parameters; `None` before Cancun.
    #[must_use]
    pub fn blobs(&self) -> Option<BlobParams> {
        let only = |target_blob_count, max_blob_count, update_fraction| BlobParams {
            target_blob_count,
            max_blob_count,
            update_fraction,
            ..BlobParams::osaka()
        };
        Some(match (self.names[0], self.spec) {
            ("BPO1", _) => BlobParams::bpo1(),
            // Test networks have two more parameter sets, which no public chain uses yet.
            ("BPO3", _) => only(21, 32, 20_609_697),
            ("BPO4", _) => only(14, 21, 13_739_630),
            ("BPO2" | "BPO5", _) | (_, SpecId::AMSTERDAM) => BlobParams::bpo2(),
            (_, SpecId::CANCUN) => BlobParams::cancun(),
            (_, SpecId::PRAGUE) => BlobParams::prague(),
            (_, SpecId::OSAKA) => BlobParams::osaka(),
            _ => return None,
        })
    }
}

/// Every fork with all its names, oldest first.
pub const NAMED: [Fork; 25] = [
    Fork::new("FRONTIER", SpecId::FRONTIER, &["Frontier"]),
    Fork::new("HOMESTEAD", SpecId::HOMESTEAD, &["Homestead"]),
    // This fork moved balances and changed no rule.
    Fork::like(SpecId::HOMESTEAD, &["DAOFork", "Dao"]),
    Fork::new("TANGERINE", SpecId::TANGERINE, &["EIP150", "TangerineWhistle", "EIP150Fork"]),
    Fork::new("SPURIOUS_DRAGON", SpecId::SPURIOUS_DRAGON, &["EIP158", "SpuriousDragon"]),
    Fork::new("BYZANTIUM", SpecId::BYZANTIUM, &["Byzantium"]).bomb(3_000_000),
    Fork::new("PETERSBURG", SpecId::PETERSBURG, &["ConstantinopleFix", "Petersburg"])
        .bomb(5_000_000),
    Fork::new("ISTANBUL", SpecId::ISTANBUL, &["Istanbul"]).bomb(5_000_000),
    Fork::like(SpecId::ISTANBUL, &["MuirGlacier"]).bomb(9_000_000),
    Fork::new("BERLIN", SpecId::BERLIN, &["Berlin"]).bomb(9_000_000),
    Fork::new("LONDON", SpecId::LONDON, &["London"]).bomb(9_700_000),
    Fork::like(SpecId::LONDON, &["ArrowGlacier"]).bomb(10_700_000),
    Fork::like(SpecId::LONDON, &["GrayGlacier"]).bomb(11_400_000),
    Fork::new("MERGE", SpecId::MERGE, &["Merge", "Paris"]),
    Fork::new("SHANGHAI", SpecId::SHANGHAI, &["Shanghai"]),
    Fork::new("CANCUN", SpecId::CANCUN, &["Cancun"]),
    Fork::new("PRAGUE", SpecId::PRAGUE, &["Prague"]),
    Fork::new("OSAKA", SpecId::OSAKA, &["Osaka"]),
    // These forks change only the number of blobs.
    Fork::like(SpecId::OSAKA, &["BPO1"]),
    Fork::like(SpecId::OSAKA, &["BPO2"]),
    Fork::like(SpecId::OSAKA, &["BPO3"]),
    Fork::like(SpecId::OSAKA, &["BPO4"]),
    Fork::like(SpecId::OSAKA, &["BPO5"]),
    Fork::new("AMSTERDAM", SpecId::AMSTERDAM, &["Amsterdam"]),
    Fork::like(SpecId::AMSTERDAM, &["EIP7928"]),
];

/// Every fork with its name in block files, oldest first.
pub const FORKS: [(&str, SpecId); 15] = in_files();

const fn in_files() -> [(&'static str, SpecId); 15] {
    let mut found = [("", SpecId::FRONTIER); 15];
    let (mut row, mut count) = (0, 0);
    while row < NAMED.len() {
        if let Some(name) = NAMED[row].file_name {
            found[count] = (name, NAMED[row].spec);
            count += 1;
        }
        row += 1;
    }
    found
}

/// Returns the fork that a tool or a suite calls `name`, ignoring case.
#[must_use]
pub fn named(name: &str) -> Option<&'static Fork> {
    const FORKS: &[Fork] = &NAMED;
    FORKS.iter().find(|fork| fork.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// Returns the fork called `name`, ignoring case; `None` if there is none.
///
/// Known are the names of [`FORKS`], the shorter ones that revm prints ("Spurious"), and "Paris",
/// which revm calls the merge.
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

/// Returns the name of `spec` in block files.
#[must_use]
pub fn name(spec: SpecId) -> &'static str {
    FORKS.iter().find(|(_, known)| *known == spec).map_or("UNKNOWN", |(name, _)| name)
}

/// Returns all known names in one line, for messages.
#[must_use]
pub fn known_names() -> String {
    FORKS.map(|(name, _)| name).join(", ")
}

/// Returns the blob parameters of `spec` at `timestamp` (seconds), with the blob-parameter-only
/// forks of the chain `chain_id`; `None` before Cancun.
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
    fn names_are_those_of_one_fork() {
        for fork in NAMED {
            for name in fork.names {
                assert_eq!(named(&name.to_lowercase()), Some(&fork), "{name}");
            }
            assert_eq!(fork.blobs().is_some(), fork.spec.is_enabled_in(SpecId::CANCUN));
        }
        assert_eq!(named("Constantinople"), None);
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
