//! The blocks that are measured: kinds, sizes and parties are fixed, so that figures of different
//! days speak of the same blocks.

use super::{
    Hot, Parties, Placement, Signing, Spread, Workload, WorkloadError, WorkloadSpec, draft, mix,
    unsealed,
};
use crate::block_file::BlockFile;
use clap::ValueEnum;

/// A block that is measured, by its name in reports.
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
    /// The same, shuffled
    #[value(name = "g_hybshuf")]
    HybridShuffled,
    /// ERC-20 transfers from one sender
    #[value(name = "i_payout")]
    Payout,
    /// A block as mainnet has it: swaps, tokens, transfers, few of them popular
    #[value(name = "m_mainnet")]
    Mainnet,
    /// Part of c_erc20 on a database that sleeps 20 us for each read
    #[value(name = "h_erc20io")]
    Erc20Slow,
    /// m_mainnet on a database that sleeps 20 us for each read
    #[value(name = "m_mainio")]
    MainnetSlow,
}

impl Preset {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 12] = [
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
    ];

    /// Its name in reports.
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
        }
    }

    /// Number of its transactions.
    #[must_use]
    pub const fn transactions(self) -> u32 {
        match self {
            Self::Raw | Self::RawHot => 50_000,
            Self::Erc20 | Self::Erc20Hot | Self::Payout => 30_000,
            Self::Swaps | Self::OnePool => 5_000,
            Self::Hybrid | Self::HybridShuffled => 36_576,
            Self::Mainnet | Self::MainnetSlow => 400,
            Self::Erc20Slow => 4_000,
        }
    }

    /// Whether its database sleeps.
    #[must_use]
    pub const fn is_slow(self) -> bool {
        matches!(self, Self::Erc20Slow | Self::MainnetSlow)
    }

    /// The block with so many transactions, without signatures; unsealed.
    ///
    /// # Errors
    /// None, unless the generator itself is at fault.
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
            Self::Hybrid | Self::HybridShuffled | Self::Mainnet | Self::MainnetSlow => {
                return self.mixed(transactions, seed);
            }
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
            _ => mix::mainnet(world, transactions),
        })
    }
}
