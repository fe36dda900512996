//! The compiled contracts: code, selectors and storage layout, as reported by the compiler.

use super::WorkloadError;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use serde::Deserialize;
use std::collections::BTreeMap;

const TOKEN: &str = include_str!("../../artifacts/Token.json");
const POOL: &str = include_str!("../../artifacts/Pool.json");
const GOVERNANCE: &str = include_str!("../../artifacts/Governance.json");
const LENDING: &str = include_str!("../../artifacts/Lending.json");
const NFT_GAME: &str = include_str!("../../artifacts/NftGame.json");
const PAYOUTS: &str = include_str!("../../artifacts/Payouts.json");
const ROLLUP: &str = include_str!("../../artifacts/Rollup.json");
const SERIAL_MINT: &str = include_str!("../../artifacts/SerialMint.json");
const COUNTER_MINT: &str = include_str!("../../artifacts/CounterMint.json");
const PARALLEL_MINT: &str = include_str!("../../artifacts/ParallelMint.json");
const SUPPLY_CHAIN: &str = include_str!("../../artifacts/SupplyChain.json");
const RANGE_POOL: &str = include_str!("../../artifacts/RangePool.json");
const ROUTER: &str = include_str!("../../artifacts/Router.json");

/// Position of a variable or a member of a struct.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Place {
    /// Slot, relative to the start of the contract's storage or of the struct.
    pub(super) slot: u64,
    /// Number of bytes to the right of it in the slot.
    offset: usize,
    /// Its length in bytes.
    bytes: usize,
}

impl Place {
    /// Returns `word` with `value` at this position, which must have been zero. The upper bytes of
    /// a value that is too long are cut off, so that neighbours are not overwritten.
    pub(super) fn put(self, word: U256, value: U256) -> U256 {
        let unused = 256_usize.saturating_sub(self.bytes * 8);
        word | (((value << unused) >> unused) << (self.offset * 8))
    }
}

#[derive(Debug, Deserialize)]
struct Layout {
    variables: BTreeMap<String, Place>,
    structs: BTreeMap<String, BTreeMap<String, Place>>,
}

/// One compiled contract.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Artifact {
    contract_name: String,
    selectors: BTreeMap<String, String>,
    storage: Layout,
    runtime_code: Bytes,
}

impl Artifact {
    /// Returns the token contract.
    pub(super) fn token() -> Result<Self, WorkloadError> {
        Self::parse("Token", TOKEN)
    }

    /// Returns the pool contract.
    pub(super) fn pool() -> Result<Self, WorkloadError> {
        Self::parse("Pool", POOL)
    }

    /// Returns the pool contract with concentrated liquidity.
    pub(super) fn range_pool() -> Result<Self, WorkloadError> {
        Self::parse("RangePool", RANGE_POOL)
    }

    /// Returns the router contract.
    pub(super) fn router() -> Result<Self, WorkloadError> {
        Self::parse("Router", ROUTER)
    }

    /// Returns the governance contract.
    pub(super) fn governance() -> Result<Self, WorkloadError> {
        Self::parse("Governance", GOVERNANCE)
    }

    /// Returns the lending contract.
    pub(super) fn lending() -> Result<Self, WorkloadError> {
        Self::parse("Lending", LENDING)
    }

    /// Returns the contract of the game with heroes.
    pub(super) fn nft_game() -> Result<Self, WorkloadError> {
        Self::parse("NftGame", NFT_GAME)
    }

    /// Returns the contract that pays in batches.
    pub(super) fn payouts() -> Result<Self, WorkloadError> {
        Self::parse("Payouts", PAYOUTS)
    }

    /// Returns the contract of the rollup inboxes.
    pub(super) fn rollup() -> Result<Self, WorkloadError> {
        Self::parse("Rollup", ROLLUP)
    }

    /// Returns the collectible with a counter and a last minter.
    pub(super) fn serial_mint() -> Result<Self, WorkloadError> {
        Self::parse("SerialMint", SERIAL_MINT)
    }

    /// Returns the collectible with a counter.
    pub(super) fn counter_mint() -> Result<Self, WorkloadError> {
        Self::parse("CounterMint", COUNTER_MINT)
    }

    /// Returns the collectible with a counter for each minter.
    pub(super) fn parallel_mint() -> Result<Self, WorkloadError> {
        Self::parse("ParallelMint", PARALLEL_MINT)
    }

    /// Returns the supply chain contract.
    pub(super) fn supply_chain() -> Result<Self, WorkloadError> {
        Self::parse("SupplyChain", SUPPLY_CHAIN)
    }

    fn parse(name: &str, text: &str) -> Result<Self, WorkloadError> {
        serde_json::from_str(text).map_err(|error| WorkloadError::Artifact {
            contract: name.to_owned(),
            expected: format!("an artifact of lab/contracts/build.mjs ({error})"),
        })
    }

    /// Returns the deployed code with its hash.
    pub(super) fn code(&self) -> (B256, Bytes) {
        (keccak256(&self.runtime_code), self.runtime_code.clone())
    }

    /// Returns the selector of the function with this signature.
    pub(super) fn selector(&self, signature: &str) -> Result<[u8; 4], WorkloadError> {
        self.selectors
            .get(signature)
            .and_then(|digits| alloy_primitives::hex::decode(digits).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| self.missing(format!("a function {signature}")))
    }

    /// Returns the first slot of a state variable.
    pub(super) fn slot(&self, variable: &str) -> Result<U256, WorkloadError> {
        self.storage
            .variables
            .get(variable)
            .map(|place| U256::from(place.slot))
            .ok_or_else(|| self.missing(format!("a variable {variable}")))
    }

    /// Returns the members of a struct by name.
    pub(super) fn members<'a>(&'a self, name: &'a str) -> Result<Members<'a>, WorkloadError> {
        let places = self.storage.structs.get(name);
        let places = places.ok_or_else(|| self.missing(format!("a struct {name}")))?;
        Ok(Members { artifact: self, name, places })
    }

    fn missing(&self, expected: String) -> WorkloadError {
        WorkloadError::Artifact { contract: self.contract_name.clone(), expected }
    }
}

/// Positions of the members of a struct.
pub(super) struct Members<'a> {
    artifact: &'a Artifact,
    name: &'a str,
    places: &'a BTreeMap<String, Place>,
}

impl Members<'_> {
    /// Returns the slots of the struct with these values, by their distance from its first slot.
    pub(super) fn pack(
        &self,
        values: &[(&str, U256)],
    ) -> Result<BTreeMap<u64, U256>, WorkloadError> {
        let mut words = BTreeMap::new();
        for (member, value) in values {
            let place = self.places.get(*member).ok_or_else(|| {
                self.artifact.missing(format!("a member {member} in {}", self.name))
            })?;
            let word = words.entry(place.slot).or_insert(U256::ZERO);
            *word = place.put(*word, *value);
        }
        Ok(words)
    }
}

/// Returns the slot of `key` in the mapping at `slot`.
pub(super) fn mapping_slot(key: U256, slot: U256) -> U256 {
    let mut input = [0; 64];
    input[..32].copy_from_slice(&key.to_be_bytes::<32>());
    input[32..].copy_from_slice(&slot.to_be_bytes::<32>());
    keccak256(input).into()
}

/// Returns an address as a word: a mapping key, an argument or a stored value.
pub(super) fn word(address: Address) -> U256 {
    address.into_word().into()
}

/// Returns the input of a call whose arguments all take one word.
pub(super) fn call_data(selector: [u8; 4], arguments: &[U256]) -> Bytes {
    let mut data = Vec::with_capacity(4 + 32 * arguments.len());
    data.extend_from_slice(&selector);
    for argument in arguments {
        data.extend_from_slice(&argument.to_be_bytes::<32>());
    }
    data.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_hashes_of_signatures() {
        for artifact in
            [Artifact::token(), Artifact::pool(), Artifact::range_pool(), Artifact::router()]
        {
            let artifact = artifact.unwrap();
            for signature in artifact.selectors.keys() {
                let selector = artifact.selector(signature).unwrap();
                assert_eq!(selector, keccak256(signature)[..4], "{signature}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let token = Artifact::token().unwrap();
        let error = token.slot("_nothing").unwrap_err().to_string();
        assert!(error.contains("Token") && error.contains("_nothing"), "{error}");
    }

    #[test]
    fn members_share_a_slot_without_touching_each_other() {
        let pool = Artifact::pool().unwrap();
        let market = pool.members("Pool.Market").unwrap();
        let all = U256::MAX;
        let one = market.pack(&[("tick", all), ("cardinality", all)]).unwrap();
        assert_eq!(one[&0], U256::from(0xff_ff00_00ff_ffff_u64));
    }

    #[test]
    fn a_mapping_slot_is_that_of_solidity() {
        // keccak256(abi.encode(uint256(1), uint256(0))), as Solidity's documentation defines it.
        let expected = "0xada5013122d395ba3c54772283fb069b10426056ef8ca54750cb9bb552a59e7d";
        assert_eq!(mapping_slot(U256::from(1), U256::ZERO), expected.parse::<U256>().unwrap());
    }
}
