//! A chain specification that activates exactly one fork.

use crate::block::ChainRules;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, U256};
use revm::primitives::hardfork::SpecId;

/// The deposit contract of chains that have none: a precompile, which never logs. The block
/// executor assumes mainnet's contract for a chain that names none.
const SILENT: Address = Address::with_last_byte(1);

/// A chain on which one fork and all earlier ones have been active since genesis, and no later one
/// is.
#[derive(Clone, Copy, Debug)]
pub struct ForkSpec {
    spec: SpecId,
    deposit_contract: Option<Address>,
    dao_block: Option<u64>,
    own_reward: bool,
    requests: bool,
}

impl ForkSpec {
    /// Creates the chain of a block with number `number` under the fork `spec` and the given rules.
    #[must_use]
    pub fn new(spec: SpecId, rules: &ChainRules, number: u64) -> Self {
        Self {
            spec,
            deposit_contract: rules.deposit_contract,
            dao_block: rules.dao_fork.then_some(number),
            own_reward: false,
            requests: true,
        }
    }

    /// Returns the chain for the block executor: without the fork's reward if the rules set their
    /// own.
    pub(super) fn for_executor(mut self, rules: &ChainRules) -> Self {
        self.own_reward = rules.block_reward.is_some();
        self
    }

    /// Returns the chain for the block executor at the end of a block that calls no request
    /// contracts. Deposits are read separately then.
    pub(super) fn without_requests(mut self) -> Self {
        self.requests = false;
        self
    }
}

impl EthereumHardforks for ForkSpec {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        // In the executor, the merge only ends block rewards.
        if fork == EthereumHardfork::Paris && self.own_reward {
            return ForkCondition::Block(0);
        }
        let (since, activation) = match fork {
            EthereumHardfork::Frontier => (SpecId::FRONTIER, ForkCondition::ZERO_BLOCK),
            EthereumHardfork::Homestead => (SpecId::HOMESTEAD, ForkCondition::ZERO_BLOCK),
            EthereumHardfork::Dao => {
                return self.dao_block.map_or(ForkCondition::Never, ForkCondition::Block);
            }
            EthereumHardfork::Tangerine => (SpecId::TANGERINE, ForkCondition::ZERO_BLOCK),
            EthereumHardfork::SpuriousDragon => {
                (SpecId::SPURIOUS_DRAGON, ForkCondition::ZERO_BLOCK)
            }
            EthereumHardfork::Byzantium => (SpecId::BYZANTIUM, ForkCondition::ZERO_BLOCK),
            EthereumHardfork::Constantinople | EthereumHardfork::Petersburg => {
                (SpecId::PETERSBURG, ForkCondition::ZERO_BLOCK)
            }
            EthereumHardfork::Istanbul | EthereumHardfork::MuirGlacier => {
                (SpecId::ISTANBUL, ForkCondition::ZERO_BLOCK)
            }
            EthereumHardfork::Berlin => (SpecId::BERLIN, ForkCondition::ZERO_BLOCK),
            EthereumHardfork::London
            | EthereumHardfork::ArrowGlacier
            | EthereumHardfork::GrayGlacier => (SpecId::LONDON, ForkCondition::ZERO_BLOCK),
            EthereumHardfork::Paris => (
                SpecId::MERGE,
                ForkCondition::TTD {
                    activation_block_number: 0,
                    fork_block: None,
                    total_difficulty: U256::ZERO,
                },
            ),
            EthereumHardfork::Shanghai => (SpecId::SHANGHAI, ForkCondition::ZERO_TIMESTAMP),
            EthereumHardfork::Cancun => (SpecId::CANCUN, ForkCondition::ZERO_TIMESTAMP),
            EthereumHardfork::Prague if !self.requests => return ForkCondition::Never,
            EthereumHardfork::Prague => (SpecId::PRAGUE, ForkCondition::ZERO_TIMESTAMP),
            EthereumHardfork::Osaka => (SpecId::OSAKA, ForkCondition::ZERO_TIMESTAMP),
            EthereumHardfork::Amsterdam => (SpecId::AMSTERDAM, ForkCondition::ZERO_TIMESTAMP),
            // Blob-parameter-only forks are selected by time in `crate::fork`; forks later than
            // revm's newest never begin.
            _ => return ForkCondition::Never,
        };
        if self.spec.is_enabled_in(since) { activation } else { ForkCondition::Never }
    }
}

impl EthExecutorSpec for ForkSpec {
    fn deposit_contract_address(&self) -> Option<Address> {
        Some(self.deposit_contract.unwrap_or(SILENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork::FORKS;
    use alloy_evm::spec_by_timestamp_and_block_number;

    #[test]
    fn exactly_the_given_fork_is_active() {
        for (name, spec) in FORKS {
            let chain = ForkSpec::new(spec, &ChainRules::default(), 7);
            assert_eq!(spec_by_timestamp_and_block_number(&chain, 0, 0), spec, "{name}");
            assert_eq!(spec_by_timestamp_and_block_number(&chain, 1, 7), spec, "{name}");
        }
    }

    #[test]
    fn the_dao_fork_happens_at_its_block_only() {
        let rules = ChainRules { dao_fork: true, ..ChainRules::default() };
        let dao = ForkSpec::new(SpecId::HOMESTEAD, &rules, 7)
            .ethereum_fork_activation(EthereumHardfork::Dao);
        assert!(dao.transitions_at_block(7));
        let none = ForkSpec::new(SpecId::HOMESTEAD, &ChainRules::default(), 7)
            .ethereum_fork_activation(EthereumHardfork::Dao);
        assert!(!none.transitions_at_block(7));
    }
}
