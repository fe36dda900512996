//! Rules that a block obeys, derived from geth's chain configuration.

use alloy_consensus::Header;
use alloy_eips::{eip7840::BlobParams, eip7892::BlobScheduleBlobParams};
use alloy_genesis::ChainConfig;
use alloy_primitives::{Address, U256, address};
use braid_evm::{ChainRules, DaoFork};
use revm::{
    context::{BlockEnv, CfgEnv},
    context_interface::block::BlobExcessGasAndPrice,
    primitives::hardfork::SpecId,
};

/// Chain id of Ethereum mainnet. Its configurations omit the deposit contract.
const MAINNET: u64 = 1;
const MAINNET_DEPOSITS: Address = address!("00000000219ab540356cbb839cbe05303d7705fa");
/// Name of the configuration's field that says that transactions declare what they access.
pub const DECLARED_ACCESSES: &str = "declaredAccesses";
/// Besu's field for a chain without fees: every block has a base fee of zero.
pub const ZERO_BASE_FEE: &str = "zeroBaseFee";
/// Besu's field for a constant base fee: every block has the base fee of the first block.
pub const FIXED_BASE_FEE: &str = "fixedBaseFee";

/// The rules of a chain, by block number and time.
#[derive(Clone, Debug)]
pub struct Rules {
    config: ChainConfig,
    blobs: BlobScheduleBlobParams,
}

impl Rules {
    /// Creates the rules of a chain with this configuration.
    #[must_use]
    pub fn new(config: ChainConfig) -> Self {
        let blobs = config.blob_schedule_blob_params();
        Self { config, blobs }
    }

    /// Whether transactions in all blocks of the chain declare what they access: the
    /// configuration's field [`DECLARED_ACCESSES`]. See [`Declaration`](braid_evm::Declaration).
    #[must_use]
    pub fn are_accesses_declared(&self) -> bool {
        self.flag(DECLARED_ACCESSES)
    }

    /// Whether every block has a base fee of zero: the configuration's field [`ZERO_BASE_FEE`].
    #[must_use]
    pub fn is_base_fee_zero(&self) -> bool {
        self.flag(ZERO_BASE_FEE)
    }

    /// Whether every block has its parent's base fee: the configuration's field [`FIXED_BASE_FEE`].
    #[must_use]
    pub fn is_base_fee_fixed(&self) -> bool {
        self.flag(FIXED_BASE_FEE)
    }

    fn flag(&self, field: &str) -> bool {
        let value = self.config.extra_fields.get(field);
        value.is_some_and(|value| value.as_bool() == Some(true))
    }

    /// Returns the configuration.
    #[must_use]
    pub const fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// Whether the configuration schedules Amsterdam.
    #[must_use]
    pub const fn has_amsterdam(&self) -> bool {
        self.config.amsterdam_time.is_some()
    }

    /// EIP-155 chain id.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.config.chain_id
    }

    /// Forks that are activated by time, newest first.
    const fn by_time(&self) -> [(Option<u64>, SpecId); 5] {
        let config = &self.config;
        [
            (config.amsterdam_time, SpecId::AMSTERDAM),
            (config.osaka_time, SpecId::OSAKA),
            (config.prague_time, SpecId::PRAGUE),
            (config.cancun_time, SpecId::CANCUN),
            (config.shanghai_time, SpecId::SHANGHAI),
        ]
    }

    /// Returns the newest fork whose fields a genesis header has. Unlike [`spec`](Self::spec), it
    /// does not depend on the difficulty: Hoodi has Cancun at time 0, but difficulty 1 in its
    /// genesis.
    pub(crate) fn genesis_spec(&self, header: &Header) -> SpecId {
        newest(&self.by_time(), header.timestamp).unwrap_or_else(|| self.spec(header))
    }

    /// Whether the block after `parent` has no proof of work. If any fork is activated by time, it
    /// has none, whatever the difficulty of `parent`: Besu's files for QBFT and IBFT state 1.
    #[must_use]
    pub fn is_merged_after(&self, parent: &Header) -> bool {
        let config = &self.config;
        let reached = |total: U256| total <= parent.difficulty;
        parent.difficulty.is_zero()
            || config.merge_netsplit_block.is_some_and(|since| since <= parent.number)
            || config.terminal_total_difficulty.is_some_and(reached)
            || self.by_time().iter().any(|(since, _)| since.is_some())
    }

    /// Returns the newest fork that is active in the block of `header`. Earlier forks that the
    /// configuration omits count as active.
    #[must_use]
    pub fn spec(&self, header: &Header) -> SpecId {
        let (config, by_time) = (&self.config, self.by_time());
        // Under other consensus rules a block may have a difficulty and the fields of later forks.
        let has_later_fields =
            header.withdrawals_root.is_some() || header.excess_blob_gas.is_some();
        let merged = (header.difficulty.is_zero() || has_later_fields)
            && (config.terminal_total_difficulty.is_some()
                || config.merge_netsplit_block.is_some()
                || by_time.iter().any(|(since, _)| since.is_some()));
        // revm has no Constantinople without Petersburg. The two differ in the gas cost of SSTORE.
        let petersburg = match (config.constantinople_block, config.petersburg_block) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let by_number = [
            (config.london_block, SpecId::LONDON),
            (config.berlin_block, SpecId::BERLIN),
            (config.istanbul_block, SpecId::ISTANBUL),
            (petersburg, SpecId::PETERSBURG),
            (config.byzantium_block, SpecId::BYZANTIUM),
            (config.eip158_block.or(config.eip155_block), SpecId::SPURIOUS_DRAGON),
            (config.eip150_block, SpecId::TANGERINE),
            (config.homestead_block, SpecId::HOMESTEAD),
        ];
        let spec = merged.then(|| newest(&by_time, header.timestamp).unwrap_or(SpecId::MERGE));
        spec.or_else(|| newest(&by_number, header.number)).unwrap_or(SpecId::FRONTIER)
    }

    /// Returns limits and price of blobs at `timestamp` under `spec`; `None` before Cancun.
    #[must_use]
    pub fn blob_params(&self, spec: SpecId, timestamp: u64) -> Option<BlobParams> {
        if !spec.is_enabled_in(SpecId::CANCUN) {
            return None;
        }
        if let Some(params) = self.blobs.active_scheduled_params_at_timestamp(timestamp) {
            return Some(*params);
        }
        Some(if spec.is_enabled_in(SpecId::OSAKA) {
            self.blobs.osaka
        } else if spec.is_enabled_in(SpecId::PRAGUE) {
            self.blobs.prague
        } else {
            self.blobs.cancun
        })
    }

    /// Returns fork, limits and header of a block as the EVM's environment.
    #[must_use]
    pub fn environment(&self, header: &Header) -> (CfgEnv, BlockEnv) {
        let spec = self.spec(header);
        let blobs = self.blob_params(spec, header.timestamp);
        let mut cfg = CfgEnv::new_with_spec(spec).with_chain_id(self.chain_id());
        if let Some(blobs) = &blobs {
            cfg.set_max_blobs_per_tx(blobs.max_blobs_per_tx);
        }
        let excess = header.excess_blob_gas.zip(blobs);
        let merged = spec.is_enabled_in(SpecId::MERGE);
        let env = BlockEnv {
            number: U256::from(header.number),
            beneficiary: header.beneficiary,
            timestamp: U256::from(header.timestamp),
            difficulty: if merged { U256::ZERO } else { header.difficulty },
            prevrandao: merged.then_some(header.mix_hash),
            gas_limit: header.gas_limit,
            basefee: header.base_fee_per_gas.unwrap_or_default(),
            blob_excess_gas_and_price: excess.map(|(excess_blob_gas, params)| {
                let blob_gasprice = params.calc_blob_fee(excess_blob_gas);
                BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice }
            }),
            ..BlockEnv::default()
        };
        (cfg, env)
    }

    /// Returns the rules, for the block of `header`, that differ between chains on the same fork.
    #[must_use]
    pub fn chain_rules(&self, header: &Header) -> ChainRules {
        let config = &self.config;
        let mainnet = (config.chain_id == MAINNET).then_some(MAINNET_DEPOSITS);
        let dao = config.dao_fork_support && config.dao_fork_block == Some(header.number);
        let blobs = self.blob_params(self.spec(header), header.timestamp);
        ChainRules {
            deposit_contract: config.deposit_contract_address.or(mainnet),
            dao_fork: dao.then(mainnet_dao_fork),
            max_blob_gas: blobs.map(|blobs| blobs.max_blob_gas_per_block()),
            declared_accesses: self.are_accesses_declared(),
            ..ChainRules::default()
        }
    }
}

/// Returns the first of `forks` that is active at block number or time `at`.
fn newest(forks: &[(Option<u64>, SpecId)], at: u64) -> Option<SpecId> {
    let active = |(since, _): &&(Option<u64>, SpecId)| since.is_some_and(|it| it <= at);
    forks.iter().find(active).map(|(_, spec)| *spec)
}

fn mainnet_dao_fork() -> DaoFork {
    use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
    DaoFork { drained: DAO_HARDFORK_ACCOUNTS.to_vec(), beneficiary: DAO_HARDFORK_BENEFICIARY }
}
