//! Converts a block file to the input of the executors.

use super::{BlockFile, FieldError, FileDatabase};
use crate::{
    block::{Block, ChainRules, Ommer},
    fork,
    sequential::ForkSpec,
};
use alloy_consensus::Header;
use alloy_evm::{EvmEnv, FromRecoveredTx, eth::dao_fork::DAO_HARDFORK_ACCOUNTS};
use alloy_primitives::{Address, U256, address};
use alloy_rpc_types_eth::Transaction;
use revm::{context::TxEnv, primitives::hardfork::SpecId};

/// Number of the mainnet block that applied the DAO fork.
const DAO_BLOCK: u64 = 1_920_000;

/// Maximum number of generations between a block and its ommers.
const OMMER_DEPTH: u64 = 6;

impl BlockFile {
    /// Converts the file to a block and its database.
    ///
    /// # Errors
    /// Returns the first field that no execution can use: an unknown fork, a code with a different
    /// hash, an ommer that cannot be one of this block.
    pub fn to_block(&self) -> Result<(Block, FileDatabase), FieldError> {
        let spec = self.spec()?;
        let database = FileDatabase::new(self)?;
        let header = &self.block.header.inner;
        check_header(header, spec)?;
        let chain_id = self.meta.chain_id;
        let rules = ChainRules {
            deposit_contract: deposit_contract(chain_id),
            dao_fork: chain_id == fork::MAINNET && header.number == DAO_BLOCK,
            requests: !self.meta.without_requests,
            ..ChainRules::default()
        };
        self.check_dao_balances(&rules)?;
        let fork_spec = ForkSpec::new(spec, &rules, header.number);
        let blobs = fork::blob_params(spec, chain_id, header.timestamp);
        let evm = EvmEnv::for_eth_block(header, fork_spec, chain_id, blobs);
        let transactions = self
            .transactions()?
            .iter()
            .map(|tx| TxEnv::from_recovered_tx(tx.inner.inner(), tx.inner.signer()))
            .collect();
        let block = Block {
            cfg: evm.cfg_env,
            env: evm.block_env,
            transactions,
            parent_hash: header.parent_hash,
            parent_beacon_block_root: header.parent_beacon_block_root,
            withdrawals: self.block.withdrawals.clone().map(|list| list.into_inner()),
            ommers: self.checked_ommers()?,
            rules,
        };
        Ok((block, database))
    }

    /// Returns the fork whose rules the block follows.
    ///
    /// # Errors
    /// Returns an error for an unknown name; the error lists the known ones.
    pub fn spec(&self) -> Result<SpecId, FieldError> {
        fork::parse(&self.meta.fork).ok_or_else(|| {
            let expected = format!("one of {}", fork::known_names());
            FieldError::new("meta.fork", expected, format!("{:?}", self.meta.fork))
        })
    }

    /// Returns the block's transactions in order.
    ///
    /// # Errors
    /// Returns an error if the block lists only the hashes of its transactions.
    pub fn transactions(&self) -> Result<&[Transaction], FieldError> {
        self.block.transactions.as_transactions().ok_or_else(|| {
            let expected = "an array of whole transactions";
            FieldError::new("block.transactions", expected, "an array of hashes, or nothing")
        })
    }

    fn checked_ommers(&self) -> Result<Vec<Ommer>, FieldError> {
        let number = self.block.header.inner.number;
        let mut ommers = Vec::with_capacity(self.ommers.len());
        for (index, ommer) in self.ommers.iter().enumerate() {
            let generations = number.checked_sub(ommer.number);
            if !generations.is_some_and(|back| (1..=OMMER_DEPTH).contains(&back)) {
                return Err(FieldError::new(
                    format!("ommers[{index}].number"),
                    format!("a number 1 to {OMMER_DEPTH} below the block's own, {number}"),
                    ommer.number.to_string(),
                ));
            }
            ommers.push(Ommer { beneficiary: ommer.beneficiary, number: ommer.number });
        }
        Ok(ommers)
    }

    /// Checks that the balances that the DAO fork moves fit into 128 bits, in which their sum is
    /// computed.
    fn check_dao_balances(&self, rules: &ChainRules) -> Result<(), FieldError> {
        if !rules.dao_fork {
            return Ok(());
        }
        let total = self
            .pre_state
            .values()
            .fold(U256::ZERO, |sum, account| sum.saturating_add(account.balance));
        let drained = DAO_HARDFORK_ACCOUNTS.len();
        if total <= U256::from(u128::MAX) {
            return Ok(());
        }
        Err(FieldError::new(
            "pre_state",
            format!("balances below 2^128 wei in all, as the DAO fork moves {drained} of them"),
            format!("{total} wei"),
        ))
    }
}

/// Checks that the header has the fields that the fork requires.
fn check_header(header: &Header, spec: SpecId) -> Result<(), FieldError> {
    if header.number == 0 {
        // A genesis block is a state and has no execution.
        return Err(FieldError::new("block.number", "a number above 0", "0"));
    }
    let needed = [
        (SpecId::LONDON, "baseFeePerGas", header.base_fee_per_gas.is_some()),
        (SpecId::CANCUN, "excessBlobGas", header.excess_blob_gas.is_some()),
        (SpecId::CANCUN, "parentBeaconBlockRoot", header.parent_beacon_block_root.is_some()),
    ];
    for (since, field, present) in needed {
        if spec.is_enabled_in(since) && !present {
            return Err(FieldError::new(
                format!("block.{field}"),
                format!("a value, which the fork {} requires", fork::name(spec)),
                "nothing",
            ));
        }
    }
    Ok(())
}

/// Returns the contract whose logs are EIP-6110 deposits, on chains that have one.
fn deposit_contract(chain_id: u64) -> Option<Address> {
    match chain_id {
        fork::MAINNET => Some(address!("00000000219ab540356cbb839cbe05303d7705fa")),
        fork::SEPOLIA => Some(address!("7f02c3e3c98b133055b8b348b2ac625669ed295d")),
        fork::HOLESKY => Some(address!("4242424242424242424242424242424242424242")),
        fork::HOODI => Some(address!("00000000219ab540356cbb839cbe05303d7705fa")),
        _ => None,
    }
}
