//! Random blocks: few accounts and few slots, contracts that branch on what they read, creations,
//! destructions, delegations, reverts, invalid transactions, every fork.
//!
//! One generator serves fuzzing and seeded tests: it draws from bytes, which come from the fuzzer
//! or from a seed. Features are switched on and off per block, so that common ones do not hide rare
//! ones.

mod cast;
mod draw;
mod program;
mod rules;
mod transactions;

use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, U256};
use arbitrary::Unstructured;
use braid_blocks::fork::FORKS;
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_evm::runtime::simulated::Random;
use braid_evm::{Block, Ommer};
use cast::{Cast, MOST_SENDERS};
use core::ops::Range;
use draw::Draw;
use revm::context::{BlockEnv, CfgEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;

/// Number of bytes that a seed is expanded to: more than a block draws.
const BYTES_OF_SEED: usize = 16_384;

/// A random block with the state before it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The block.
    pub block: Block,
    /// The state before it.
    pub accounts: BTreeMap<Address, MemoryAccount>,
}

/// Features of a block.
#[derive(Clone, Copy, Debug)]
struct Features {
    creations: bool,
    destructions: bool,
    delegations: bool,
    invalid: bool,
    tight_gas: bool,
    zero_tips: bool,
    odd_accounts: bool,
    beneficiary_acts: bool,
    system_contracts: bool,
}

impl Features {
    fn draw(draw: &mut Draw<'_, '_>) -> Self {
        Self {
            creations: draw.percent(60),
            destructions: draw.percent(60),
            delegations: draw.percent(60),
            invalid: draw.percent(40),
            tight_gas: draw.percent(15),
            zero_tips: draw.percent(40),
            odd_accounts: draw.percent(50),
            beneficiary_acts: draw.percent(50),
            system_contracts: draw.percent(20),
        }
    }
}

impl Case {
    /// Maximum number of transactions of a block.
    pub const MOST: u8 = transactions::MOST as u8;

    /// Generates the block of `seed`, always the same as long as the generator does not change.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self::from_bytes(&bytes_of_seed(seed, BYTES_OF_SEED))
    }

    /// Generates a block from a fuzzer's bytes, followed by zeros.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::drawn(&mut Draw::new(&mut Unstructured::new(bytes)))
    }

    /// Returns where in a fuzzer's bytes each transaction is, up to the end of the bytes. The byte
    /// before the first one is the number of transactions less 1, modulo
    /// [`MOST`](Self::MOST).
    #[must_use]
    pub fn transactions_in(bytes: &[u8]) -> Vec<Range<usize>> {
        let mut unstructured = Unstructured::new(bytes);
        let mut draw = Draw::new(&mut unstructured);
        Self::drawn(&mut draw);
        draw.items(bytes.len())
    }

    fn drawn(draw: &mut Draw<'_, '_>) -> Self {
        // Later forks have more features to test.
        let spec = match draw.percent(50) {
            true => draw.pick(&[SpecId::CANCUN, SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM]),
            false => draw.pick(&FORKS.map(|(_, spec)| spec)),
        };
        let senders = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6].map(Address::repeat_byte);
        let mut case = Self::draw(draw, spec, &senders);
        rules::change(draw, &mut case);
        case
    }

    /// Generates a block under the rules of `spec` whose senders are among `senders`, so that the
    /// caller can have their keys.
    #[must_use]
    pub fn with_senders(seed: u64, spec: SpecId, senders: &[Address; MOST_SENDERS]) -> Self {
        let bytes = bytes_of_seed(seed, BYTES_OF_SEED);
        Self::draw(&mut Draw::new(&mut Unstructured::new(&bytes)), spec, senders)
    }

    /// Returns the state before the block.
    #[must_use]
    pub fn database(&self) -> MemoryDatabase {
        MemoryDatabase::new(self.accounts.clone())
    }

    fn draw(draw: &mut Draw<'_, '_>, spec: SpecId, senders: &[Address; MOST_SENDERS]) -> Self {
        let features = Features::draw(draw);
        let cast = Cast::draw(draw, senders, spec, features);
        let mut block = Block {
            cfg: CfgEnv::new_with_spec(spec).with_max_blobs_per_tx(6),
            env: environment(draw, spec, features, &cast),
            parent_hash: MemoryDatabase::hash_of_block(999),
            parent_beacon_block_root: spec
                .is_enabled_in(SpecId::CANCUN)
                .then_some(B256::repeat_byte(0x4b)),
            ..Block::default()
        };
        let accounts = cast.accounts(draw, spec, features);
        block.transactions = transactions::draw(draw, &cast, &accounts, &block, features);
        if spec.is_enabled_in(SpecId::SHANGHAI) {
            block.withdrawals = Some(withdrawals(draw, &cast));
        } else if !spec.is_enabled_in(SpecId::MERGE) && draw.percent(30) {
            let beneficiary = cast.any_account(draw);
            block.ommers = vec![Ommer { beneficiary, number: 1_000 - 1 - draw.below(6) }];
        }
        Self { block, accounts }
    }
}

fn environment(draw: &mut Draw<'_, '_>, spec: SpecId, features: Features, cast: &Cast) -> BlockEnv {
    let since = |fork| spec.is_enabled_in(fork);
    let stranger = Address::repeat_byte(0xbe);
    let blob_price = BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 };
    BlockEnv {
        number: U256::from(1_000),
        beneficiary: if features.beneficiary_acts { cast.any_account(draw) } else { stranger },
        timestamp: U256::from(10_000),
        gas_limit: if features.tight_gas { 200_000 + draw.below(800_000) } else { 30_000_000 },
        basefee: if since(SpecId::LONDON) { draw.pick(&[7, 7, 1, 0]) } else { 0 },
        difficulty: if since(SpecId::MERGE) { U256::ZERO } else { U256::from(9) },
        prevrandao: since(SpecId::MERGE).then_some(B256::repeat_byte(0x77)),
        blob_excess_gas_and_price: since(SpecId::CANCUN).then_some(blob_price),
        slot_num: 5,
    }
}

fn withdrawals(draw: &mut Draw<'_, '_>, cast: &Cast) -> Vec<Withdrawal> {
    let count = if draw.percent(30) { 1 + draw.below(3) } else { 0 };
    let withdrawal = |index| Withdrawal {
        index,
        validator_index: index,
        address: cast.any_account(draw),
        amount: draw.below(3),
    };
    (0..count).map(withdrawal).collect()
}

/// Returns `length` bytes that depend only on `seed`.
#[must_use]
pub fn bytes_of_seed(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let word = || random.next_u64().to_le_bytes();
    core::iter::repeat_with(word).flatten().take(length).collect()
}
