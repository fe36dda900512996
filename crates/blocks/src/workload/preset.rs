//! The blocks that are measured: kinds, sizes and parties are fixed, so that figures of different
//! days are comparable.

use super::{
    Hot, Parties, Placement, Signing, Spread, Workload, WorkloadError, WorkloadSpec, apps::App,
    draft, mix, unsealed,
};
use crate::block_file::BlockFile;
use clap::ValueEnum;

/// A measured block, by its name in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Native transfers, every sender and (new) recipient distinct
    #[value(name = "a_raw")]
    Raw,
    /// Native transfers among 20 accounts
    #[value(name = "b_rawhot")]
    RawHot,
    /// Transfers of one ERC-20, all parties distinct
    #[value(name = "c_erc20")]
    Erc20,
    /// ERC-20 transfers of distinct senders to one recipient
    #[value(name = "d_erc20hot")]
    Erc20Hot,
    /// Swaps on pools with concentrated liquidity, a pool each
    #[value(name = "e_uni")]
    Swaps,
    /// Swaps in one pool with concentrated liquidity
    #[value(name = "f_unipool")]
    OnePool,
    /// Transfers, tokens and swaps among 100,000 accounts, one kind after the other
    #[value(name = "g_hybrid")]
    Hybrid,
    /// Same as hybrid, shuffled
    #[value(name = "g_hybshuf")]
    HybridShuffled,
    /// ERC-20 transfers from one sender
    #[value(name = "i_payout")]
    Payout,
    /// A block like mainnet's: swaps, tokens, transfers, few of them popular
    #[value(name = "m_mainnet")]
    Mainnet,
    /// Part of c_erc20 on a database that sleeps 20 us for each read
    #[value(name = "h_erc20io")]
    Erc20Slow,
    /// m_mainnet on a database that sleeps 20 us for each read
    #[value(name = "m_mainio")]
    MainnetSlow,
    /// Fights between any two of 5,000 heroes
    #[value(name = "nft-game")]
    NftGame,
    /// Supplying, borrowing and repaying in eight markets, few of them popular
    #[value(name = "lending")]
    Lending,
    /// Votes on five proposals
    #[value(name = "governance")]
    Governance,
    /// Moves of any of 20,000 items to one of 200 stations
    #[value(name = "supply-chain")]
    SupplyChain,
    /// Payments of one token to ten recipients each, by 500 payers
    #[value(name = "stablecoin-batch")]
    StablecoinBatch,
    /// Batches of data into twelve inboxes, few of them popular
    #[value(name = "rollup-batch")]
    RollupBatch,
    /// All of these kinds with transfers, tokens and swaps
    #[value(name = "mixed")]
    Mixed,
}

impl Preset {
    /// All presets, in the order of reports.
    pub const ALL: [Self; 19] = [
        Self::Raw,
        Self::RawHot,
        Self::Erc20,
        Self::Erc20Hot,
        Self::Swaps,
        Self::OnePool,
        Self::Hybrid,
        Self::HybridShuffled,
        Self::Payout,
        Self::Mainnet,
        Self::Erc20Slow,
        Self::MainnetSlow,
        Self::NftGame,
        Self::Lending,
        Self::Governance,
        Self::SupplyChain,
        Self::StablecoinBatch,
        Self::RollupBatch,
        Self::Mixed,
    ];

    /// Returns its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "a_raw",
            Self::RawHot => "b_rawhot",
            Self::Erc20 => "c_erc20",
            Self::Erc20Hot => "d_erc20hot",
            Self::Swaps => "e_uni",
            Self::OnePool => "f_unipool",
            Self::Hybrid => "g_hybrid",
            Self::HybridShuffled => "g_hybshuf",
            Self::Payout => "i_payout",
            Self::Mainnet => "m_mainnet",
            Self::Erc20Slow => "h_erc20io",
            Self::MainnetSlow => "m_mainio",
            Self::NftGame => "nft-game",
            Self::Lending => "lending",
            Self::Governance => "governance",
            Self::SupplyChain => "supply-chain",
            Self::StablecoinBatch => "stablecoin-batch",
            Self::RollupBatch => "rollup-batch",
            Self::Mixed => "mixed",
        }
    }

    /// Returns its number of transactions.
    #[must_use]
    pub const fn transactions(self) -> u32 {
        match self {
            Self::Raw | Self::RawHot => 50_000,
            Self::Erc20 | Self::Erc20Hot | Self::Payout => 30_000,
            Self::Swaps | Self::OnePool => 5_000,
            Self::Hybrid | Self::HybridShuffled => 36_576,
            Self::Mainnet | Self::MainnetSlow => 400,
            Self::Erc20Slow => 4_000,
            Self::NftGame | Self::Governance | Self::SupplyChain | Self::Lending => 10_000,
            Self::StablecoinBatch | Self::RollupBatch => 2_000,
            Self::Mixed => 9_000,
        }
    }

    /// Returns whether its database sleeps.
    #[must_use]
    pub const fn is_slow(self) -> bool {
        matches!(self, Self::Erc20Slow | Self::MainnetSlow)
    }

    /// Generates the block with this number of transactions, without signatures and unsealed.
    ///
    /// # Errors
    /// Returns an error only if the generator is at fault.
    pub fn block(self, transactions: u32, seed: u64) -> Result<BlockFile, WorkloadError> {
        let distinct = Parties::DISTINCT;
        let twenty = Spread::among(20);
        let (kind, parties) = match self {
            Self::Raw => (Workload::Transfers, distinct),
            Self::RawHot => {
                let among = Parties { senders: twenty, recipients: twenty, shared: true };
                (Workload::Transfers, among)
            }
            Self::Erc20 | Self::Erc20Slow => (Workload::Erc20, distinct),
            Self::Erc20Hot => (Workload::Erc20, Parties { recipients: Spread::ONE, ..distinct }),
            Self::Payout => (Workload::Erc20, Parties { senders: Spread::ONE, ..distinct }),
            Self::Swaps | Self::OnePool => (Workload::Range, distinct),
            _ => return self.mixed(transactions, seed),
        };
        let mut spec = WorkloadSpec::new(kind, transactions, 0, seed).unsigned();
        if self == Self::OnePool {
            spec.contracts = Spread::ONE;
        }
        unsealed(&WorkloadSpec { hot: Hot::NONE, parties, ..spec })
    }

    fn mixed(self, transactions: u32, seed: u64) -> Result<BlockFile, WorkloadError> {
        let note = format!("{}, {transactions} transactions, seed {seed}", self.name());
        draft(seed, Signing::Unsigned, &Placement::DEFAULT, note, |world| match self {
            Self::Hybrid => mix::hybrid(world, transactions),
            Self::HybridShuffled => {
                let calls = mix::hybrid(world, transactions)?;
                Ok(mix::shuffled(calls, world))
            }
            Self::NftGame => mix::application(world, App::NftGame, transactions),
            Self::Lending => mix::application(world, App::Lending, transactions),
            Self::Governance => mix::application(world, App::Governance, transactions),
            Self::SupplyChain => mix::application(world, App::SupplyChain, transactions),
            Self::StablecoinBatch => mix::application(world, App::StablecoinBatch, transactions),
            Self::RollupBatch => mix::application(world, App::RollupBatch, transactions),
            Self::Mixed => mix::mixed(world, transactions),
            _ => mix::mainnet(world, transactions),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::seal;

    #[test]
    fn every_transaction_of_every_block_succeeds() {
        for preset in Preset::ALL {
            let mut file = preset.block(120, 3).unwrap();
            seal::seal(&mut file).unwrap();
            let succeeded = file.expected.tx_success.unwrap();
            let failed: Vec<usize> =
                (0..succeeded.len()).filter(|index| !succeeded[*index]).collect();
            assert_eq!((succeeded.len(), failed), (120, vec![]), "{}", preset.name());
            assert_eq!(Preset::from_str(preset.name(), false), Ok(preset));
        }
    }

    #[test]
    fn a_block_as_mainnet_has_it_is_as_large() {
        let mut file = Preset::Mainnet.block(400, 1).unwrap();
        seal::seal(&mut file).unwrap();
        let gas = file.expected.gas_used.unwrap();
        assert!((32_000_000..46_000_000).contains(&gas), "{gas}");
    }

    #[test]
    fn the_kinds_of_a_hybrid_block_have_their_shares_of_the_gas() {
        let mut file = Preset::Hybrid.block(3_658, 1).unwrap();
        seal::seal(&mut file).unwrap();
        let (all, each) = (file.expected.gas_used.unwrap(), file.expected.tx_gas_used.unwrap());
        let transfers = each.iter().filter(|gas| **gas == 21_000).count() as u64 * 21_000;
        assert!((54..=66).contains(&(transfers * 100 / all)), "{transfers} of {all}");
        // A tenth of a block of a billion gas.
        assert!((88_000_000..115_000_000).contains(&all), "{all}");
    }
}
