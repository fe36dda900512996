//! Forks and networks by the names in test suites.

use super::read::Number;
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::U256;
use braid_blocks::fork;
use revm::primitives::hardfork::SpecId;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Known networks that cannot be run, with the reason.
const UNSUPPORTED: [(&str, &str); 1] =
    [("Constantinople", "revm has no Constantinople without Petersburg")];

/// The rules of one fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// revm's name of the fork.
    pub spec: SpecId,
    /// Limits and price of blobs, from Cancun.
    pub blobs: Option<BlobParams>,
}

/// The `config` of a test: chain id, and blob limits by fork.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Config {
    #[serde(default, alias = "chainId")]
    pub(super) chainid: Option<Number>,
    #[serde(default, rename = "blobSchedule")]
    blob_schedule: Option<BTreeMap<String, Blobs>>,
}

/// Blob limits of one fork.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Blobs {
    target: Number,
    max: Number,
    #[serde(rename = "baseFeeUpdateFraction")]
    update_fraction: Number,
}

impl Config {
    /// Returns the chain id; mainnet's by default.
    pub(super) fn chain_id(&self) -> u64 {
        self.chainid.and_then(Number::to_u64).unwrap_or(fork::MAINNET)
    }
}

/// Returns the rules of the fork called `name`.
///
/// # Errors
/// Returns a reason if there are none.
pub(super) fn rules(name: &str, config: &Config) -> Result<Rules, String> {
    let Some(known) = fork::named(name) else {
        let reason = UNSUPPORTED.iter().find(|(fork, _)| *fork == name).map(|(_, why)| *why);
        return Err(reason.map_or_else(|| format!("unknown fork {name}"), str::to_owned));
    };
    let blobs = known.blobs().map(|defaults| {
        let schedule = config.blob_schedule.as_ref();
        schedule.and_then(|schedule| schedule.get(name)).map_or(defaults, |own| own.over(defaults))
    });
    Ok(Rules { spec: known.spec, blobs })
}

impl Blobs {
    fn over(&self, defaults: BlobParams) -> BlobParams {
        let max_blob_count = self.max.to_u64().unwrap_or(u64::MAX);
        // From Osaka, a transaction has its own limit (EIP-7594), below that of the block.
        let own_limit = defaults.max_blobs_per_tx != defaults.max_blob_count;
        let osaka = own_limit || defaults.blob_base_cost > 0;
        BlobParams {
            target_blob_count: self.target.to_u64().unwrap_or(u64::MAX),
            max_blob_count,
            update_fraction: u128::try_from(self.update_fraction.saturating()).unwrap_or(u128::MAX),
            max_blobs_per_tx: if osaka {
                defaults.max_blobs_per_tx.min(max_blob_count)
            } else {
                max_blob_count
            },
            ..defaults
        }
    }
}

/// The rules of a chain's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    before: Rules,
    change: Option<(Rules, Since)>,
    /// The block that applies the DAO fork.
    dao_block: Option<u64>,
}

/// The point at which the rules change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Number(u64),
    Time(u64),
    /// Total difficulty of the parent.
    Difficulty(U256),
}

/// The position of a block, which determines its rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) number: u64,
    pub(super) timestamp: u64,
    /// Total difficulty, up to and including the parent.
    pub(super) total_difficulty: U256,
}

impl Network {
    /// Returns the network called `name`: a fork, or a transition such as `BerlinToLondonAt5`,
    /// `ParisToShanghaiAtTime15k` or `ArrowGlacierToParisAtDiffC0000`.
    ///
    /// # Errors
    /// Returns the reason why it cannot be run.
    pub(super) fn named(name: &str, config: &Config) -> Result<Self, String> {
        let Some((from, to, since)) = transition(name) else {
            return Ok(Self { before: rules(name, config)?, change: None, dao_block: None });
        };
        let dao = to.eq_ignore_ascii_case("Dao");
        let dao_block = match since {
            Since::Number(number) if dao => Some(number),
            _ => None,
        };
        let change = Some((rules(to, config)?, since));
        Ok(Self { before: rules(from, config)?, change, dao_block })
    }

    pub(super) fn rules_at(&self, position: Position) -> Rules {
        let Some((after, since)) = self.change else { return self.before };
        let changed = match since {
            Since::Number(number) => position.number >= number,
            Since::Time(time) => position.timestamp >= time,
            Since::Difficulty(total) => position.total_difficulty >= total,
        };
        if changed { after } else { self.before }
    }

    pub(super) fn is_dao_block(&self, number: u64) -> bool {
        self.dao_block == Some(number)
    }
}

/// Splits a name like `BerlinToLondonAt5`.
fn transition(name: &str) -> Option<(&str, &str, Since)> {
    let (forks, at) = name.rsplit_once("At")?;
    let (from, to) = forks.split_once("To")?;
    let since = if let Some(time) = at.strip_prefix("Time") {
        let (digits, unit) = time.strip_suffix('k').map_or((time, 1), |digits| (digits, 1000));
        Since::Time(digits.parse::<u64>().ok()?.checked_mul(unit)?)
    } else if let Some(difficulty) = at.strip_prefix("Diff") {
        Since::Difficulty(U256::from_str_radix(difficulty, 16).ok()?)
    } else {
        Since::Number(at.parse().ok()?)
    };
    Some((from, to, since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64, timestamp: u64, total_difficulty: u64) -> Position {
        Position { number, timestamp, total_difficulty: U256::from(total_difficulty) }
    }

    #[test]
    fn every_fork_has_a_name() {
        for fork in fork::NAMED {
            for name in fork.names {
                let rules = rules(name, &Config::default()).expect("known");
                assert_eq!((rules.spec, rules.blobs), (fork.spec, fork.blobs()), "{name}");
            }
        }
        assert!(rules("Constantinople", &Config::default()).is_err_and(|why| why.contains("revm")));
        assert!(rules("Verkle", &Config::default()).is_err_and(|why| why.contains("unknown")));
    }

    #[test]
    fn networks_change_where_their_names_say() {
        let network = |name| Network::named(name, &Config::default()).expect("known");
        let spec = |name, position| network(name).rules_at(position).spec;
        assert_eq!(spec("BerlinToLondonAt5", at(4, 99, 99)), SpecId::BERLIN);
        assert_eq!(spec("BerlinToLondonAt5", at(5, 0, 0)), SpecId::LONDON);
        assert_eq!(spec("ParisToShanghaiAtTime15k", at(9, 14_999, 0)), SpecId::MERGE);
        assert_eq!(spec("ParisToShanghaiAtTime15k", at(0, 15_000, 0)), SpecId::SHANGHAI);
        let merge = "ArrowGlacierToParisAtDiffC0000";
        assert_eq!(spec(merge, at(9, 9, 0xb_ffff)), SpecId::LONDON);
        assert_eq!(spec(merge, at(0, 0, 0xc_0000)), SpecId::MERGE);
        assert_eq!(spec("HomesteadToDaoAt5", at(6, 0, 0)), SpecId::HOMESTEAD);
        assert!(network("HomesteadToDaoAt5").is_dao_block(5));
        assert!(!network("HomesteadToDaoAt5").is_dao_block(6));
        assert_eq!(spec("Cancun", at(0, 0, 0)), SpecId::CANCUN);
        assert!(Network::named("CancunToNowhereAt5", &Config::default()).is_err());
    }

    #[test]
    fn a_blob_schedule_goes_before_what_is_usual() {
        let text = r#"{"chainid": "0x07", "blobSchedule": {"Prague": {"target": "0x01",
            "max": "0x02", "baseFeeUpdateFraction": "0x4c6964"}}}"#;
        let config: Config = serde_json::from_str(text).expect("parses");
        assert_eq!(config.chain_id(), 7);
        let blobs = |name| rules(name, &config).expect("known").blobs.expect("from Cancun");
        assert_eq!((blobs("Prague").target_blob_count, blobs("Prague").max_blob_count), (1, 2));
        assert_eq!(blobs("Prague").max_blobs_per_tx, 2);
        assert_eq!(blobs("Cancun"), BlobParams::cancun());
        assert_eq!(blobs("Osaka").max_blobs_per_tx, 6);
    }
}
