//! The environment of the transactions: `env`.

use super::difficulty::{Parent, difficulty};
use super::error::Failure;
use super::fields::{Fields, number_in, word, wrong};
use super::fork::Fork;
use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, U256};
use revm::primitives::hardfork::SpecId;
use serde_json::Value;
use std::collections::BTreeMap;

/// The environment as given.
#[derive(Clone, Debug)]
pub(super) struct Env<'a> {
    fields: Fields<'a>,
    pub(super) coinbase: Address,
    pub(super) gas_limit: u64,
    pub(super) number: u64,
    pub(super) timestamp: u64,
    pub(super) slot_number: u64,
    pub(super) block_hashes: BTreeMap<u64, B256>,
    /// Beneficiaries of ommers, with their distance to this block.
    pub(super) ommers: Vec<(Address, u64)>,
}

/// Values derived from environment and fork.
#[derive(Clone, Debug)]
pub(super) struct Derived {
    /// Difficulty, before the merge.
    pub(super) difficulty: Option<U256>,
    pub(super) random: Option<B256>,
    pub(super) base_fee: Option<u64>,
    pub(super) excess_blob_gas: Option<u64>,
    pub(super) withdrawals: Option<Vec<Withdrawal>>,
    pub(super) beacon_root: Option<B256>,
}

impl<'a> Env<'a> {
    /// Parses an environment.
    pub(super) fn from_json(value: &'a Value) -> Result<Self, Failure> {
        let fields = Fields::new("env", value)?;
        let required = |name| fields.small(&[name])?.ok_or_else(|| fields.missing(name));
        let mut block_hashes = BTreeMap::new();
        for (number, hash) in fields.entries("blockHashes")? {
            let at = number_in(number).and_then(|number| u64::try_from(number).ok());
            let (Some(at), Some(hash)) = (at, word(hash)) else {
                return Err(wrong(&format!("env.blockHashes.{number}"), "a hash", hash));
            };
            block_hashes.insert(at, hash);
        }
        let (ommers_at, ommers) = fields.list(&["ommers"])?.unwrap_or_default();
        let ommer = |(index, value)| {
            let ommer = Fields::new(format!("{ommers_at}[{index}]"), value)?;
            let address = ommer.address(&["address"])?.ok_or_else(|| ommer.missing("address"))?;
            Ok((address, ommer.small(&["delta"])?.unwrap_or_default()))
        };
        Ok(Self {
            coinbase: fields
                .address(&["currentCoinbase"])?
                .ok_or_else(|| fields.missing("currentCoinbase"))?,
            gas_limit: required("currentGasLimit")?,
            number: required("currentNumber")?,
            timestamp: required("currentTimestamp")?,
            slot_number: fields.small(&["slotNumber"])?.unwrap_or_default(),
            ommers: ommers.iter().enumerate().map(ommer).collect::<Result<_, Failure>>()?,
            block_hashes,
            fields,
        })
    }

    /// Returns the hash of the parent; zero if it was not given.
    pub(super) fn parent_hash(&self) -> B256 {
        let parent = self.number.checked_sub(1);
        parent.and_then(|parent| self.block_hashes.get(&parent)).copied().unwrap_or_default()
    }

    /// Derives the values that are not given from the parent, and checks that the values that
    /// `fork` requires are present. With `state_test`, system contracts and withdrawals are not
    /// required.
    pub(super) fn derive(&self, fork: &Fork, state_test: bool) -> Result<Derived, Failure> {
        let since = |spec| fork.spec.is_enabled_in(spec);
        let beacon_root = match self.fields.hash(&["parentBeaconBlockRoot"])? {
            None if since(SpecId::CANCUN) && !state_test => {
                return Err(Failure::config(
                    "post-cancun env requires parentBeaconBlockRoot to be set",
                ));
            }
            root => root.filter(|_| since(SpecId::CANCUN)),
        };
        let withdrawals = match self.withdrawals()? {
            None if since(SpecId::SHANGHAI) && !state_test => {
                return Err(Failure::config(
                    "Shanghai config but missing 'withdrawals' in env section",
                ));
            }
            list => list.filter(|_| since(SpecId::SHANGHAI)),
        };
        let (difficulty, random) = self.difficulty(fork)?;
        let base_fee = if since(SpecId::LONDON) { Some(self.base_fee()?) } else { None };
        let excess_blob_gas = self.excess_blob_gas(fork)?;
        Ok(Derived { difficulty, random, base_fee, excess_blob_gas, withdrawals, beacon_root })
    }

    fn difficulty(&self, fork: &Fork) -> Result<(Option<U256>, Option<B256>), Failure> {
        let given = self.fields.number(&["currentDifficulty"])?;
        let random = self.fields.hash(&["currentRandom"])?;
        if fork.spec.is_enabled_in(SpecId::MERGE) {
            if random.is_none() {
                let missing = "post-merge requires currentRandom to be defined in env";
                return Err(Failure::config(missing));
            }
            if given.is_some_and(|difficulty| !difficulty.is_zero()) {
                let wrong = "post-merge difficulty must be zero (or omitted) in env";
                return Err(Failure::config(wrong));
            }
            return Ok((None, random));
        }
        if given.is_some() {
            return Ok((given, None));
        }
        let Some(before) = self.fields.number(&["parentDifficulty"])? else {
            return Err(Failure::config(
                "currentDifficulty was not provided, and cannot be calculated due to missing \
                 parentDifficulty",
            ));
        };
        if self.number == 0 {
            let genesis = "currentDifficulty needs to be provided for block number 0";
            return Err(Failure::config(genesis));
        }
        let timestamp = self.fields.small(&["parentTimestamp"])?.unwrap_or_default();
        if self.timestamp <= timestamp {
            return Err(Failure::config(format!(
                "currentDifficulty cannot be calculated -- currentTime ({}) needs to be after \
                 parent time ({timestamp})",
                self.timestamp
            )));
        }
        let ommers_hash = self.fields.hash(&["parentUncleHash"])?;
        let parent = Parent { difficulty: before, timestamp, ommers_hash };
        Ok((Some(difficulty(fork, self.number, self.timestamp, &parent)), None))
    }

    fn base_fee(&self) -> Result<u64, Failure> {
        if let Some(base_fee) = self.fields.small(&["currentBaseFee"])? {
            return Ok(base_fee);
        }
        match (self.fields.small(&["parentBaseFee"])?, self.number) {
            (Some(base_fee), 1..) => {
                let gas_used = self.fields.small(&["parentGasUsed"])?.unwrap_or_default();
                let gas_limit = self.fields.small(&["parentGasLimit"])?.unwrap_or_default();
                if gas_limit < 2 {
                    return Err(Failure::config("parentBaseFee needs parentGasLimit"));
                }
                let params = BaseFeeParams::ethereum();
                Ok(calc_next_block_base_fee(gas_used, gas_limit, base_fee, params))
            }
            _ => {
                Err(Failure::config("EIP-1559 config but missing 'currentBaseFee' in env section"))
            }
        }
    }

    fn excess_blob_gas(&self, fork: &Fork) -> Result<Option<u64>, Failure> {
        let Some(params) = fork.blobs else { return Ok(None) };
        if let Some(excess) = self.fields.small(&["currentExcessBlobGas"])? {
            return Ok(Some(excess));
        }
        let before = self.fields.small(&["parentExcessBlobGas"])?.unwrap_or_default();
        let used = self.fields.small(&["parentBlobGasUsed"])?.unwrap_or_default();
        let base_fee = self.fields.small(&["parentBaseFee"])?.unwrap_or_default();
        if before.checked_add(used).is_none() {
            return Err(Failure::config("parentExcessBlobGas is out of all proportion"));
        }
        Ok(Some(params.next_block_excess_blob_gas_osaka(before, used, base_fee)))
    }

    fn withdrawals(&self) -> Result<Option<Vec<Withdrawal>>, Failure> {
        let Some((path, list)) = self.fields.list(&["withdrawals"])? else { return Ok(None) };
        let withdrawal = |(index, value)| {
            let fields = Fields::new(format!("{path}[{index}]"), value)?;
            let number = |names: &[&str]| Ok(fields.small(names)?.unwrap_or_default());
            Ok(Withdrawal {
                index: number(&["index"])?,
                validator_index: number(&["validatorIndex", "validator_index"])?,
                address: fields.address(&["address"])?.ok_or_else(|| fields.missing("address"))?,
                amount: number(&["amount"])?,
            })
        };
        list.iter().enumerate().map(withdrawal).collect::<Result<_, _>>().map(Some)
    }
}
