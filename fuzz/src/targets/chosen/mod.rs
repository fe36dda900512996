//! Fuzz targets that execute a block once, in the way that the input selects.
//!
//! Tests replay an input of `block_equivalence` in every way, which takes a third of a second. A
//! fuzzer learns more from a hundred inputs in that time. So each family of the executor's rules
//! has its own target. Inputs of all these targets have the same form: the first bytes make the
//! block, and the last ones ([`choices::CHOICES`]) choose its execution.

mod choices;
mod engines;
mod kept;
mod shapes;

use super::twists::{extras, halved, repeated, unreadable_place};
use super::{reached, ways};
use crate::faulty::Fault;
use crate::generate::Case;
use crate::hostile::declared::{Declared, honest};
use crate::lineup::Copies;
use crate::listed::Listed;
use crate::memory::MemoryDatabase;
use crate::mutate::Transactions;
use crate::plain::{self, Own};
use crate::spoil::{Draw, draws};
use alloy_primitives::Address;
use braid_blocks::fork::FORKS;
use braid_evm::{Block, Cloned, Forced, Mode, Policy};
use choices::{Choices, POLICIES};
use engines::{Engine, Way};
use kept::Make;
use shapes::enlarge;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Fuzzes every strategy and every change between strategies, on blocks of up to a thousand
/// transactions.
pub(super) fn strategies(bytes: &[u8]) -> Result<(), String> {
    let (mut case, mut choices) = (Case::from_bytes(bytes), Choices::new(bytes));
    let engines = [Engine::Fibers, Engine::Threads, Engine::Fibers, Engine::Store];
    let mut way = Way::draw(&mut choices, engines, POLICIES);
    let shape = enlarge(&mut case, &mut choices);
    reached::note(&format!("shape, {shape}"));
    if choices.percent(12) {
        // Learning has an effect only when a block is repeated.
        way.config.learn = true;
        way.times = choices.pick([2, 3, 5]);
        // The longest blocks are slow, and one run suffices to change from contiguous batches to
        // other strategies.
        if case.block.transactions.len() > 300 {
            way.times = 1;
        }
    }
    way.check(&one(case))
}

/// Fuzzes fees, payments and balances: the payees act in the block, and the chain has a surcharge
/// and a precompile.
pub(super) fn fees(bytes: &[u8]) -> Result<(), String> {
    let (mut case, mut choices) = (Case::from_bytes(bytes), Choices::new(bytes));
    let engines = [Engine::Fibers, Engine::Store, Engine::Threads];
    let way = Way::draw(&mut choices, engines, POLICIES);
    let sender = case.block.transactions.first().map(|tx| tx.caller);
    let paid = [
        None,
        sender,
        Some(Address::repeat_byte(0xc0)),
        Some(Address::repeat_byte(0xc1)),
        Some(Address::repeat_byte(0xe0)),
        Some(Address::with_last_byte(2)),
    ];
    if let Some(paid) = choices.pick(paid) {
        case.block.env.beneficiary = paid;
    }
    if choices.percent(50) {
        return way.check(&one(case));
    }
    let (database, block) = (case.database(), plain::bare(&case.block));
    let own = extras(&block, choices.byte(), choices.byte());
    let blocks = match choices.byte() % 4 {
        0 | 1 => vec![block],
        2 => vec![repeated(block)],
        _ => halved(block),
    };
    on_parents(&way, blocks, &database, own)
}

/// Fuzzes the rules of every fork, and an executor that changes between forks.
pub(super) fn forks(bytes: &[u8]) -> Result<(), String> {
    let (way, heads) = way_of_forks(bytes);
    let blocks = heads.into_iter().map(|head| {
        let case = Case::from_bytes(&[&head, bytes].concat());
        reached::note(&format!("fork, {:?}", case.block.cfg.spec));
        (Arc::new(case.block.clone()), case.database())
    });
    way.check(&blocks.collect::<Vec<_>>())
}

/// Returns the transactions in an input of [`forks`], in its first block.
pub(super) fn transactions_of_fork(bytes: &[u8]) -> Transactions {
    let (_, heads) = way_of_forks(bytes);
    heads.first().map_or_else(Transactions::default, |head| Transactions::after(head, bytes))
}

/// Returns how blocks of forks are executed, and for each block the bytes of the generator's first
/// two choices: whether any fork may be used, and which one.
fn way_of_forks(bytes: &[u8]) -> (Way, Vec<[u8; 2]>) {
    let mut choices = Choices::new(bytes);
    let engines = [Engine::Threads, Engine::Fibers, Engine::Store];
    let way = Way::draw(&mut choices, engines, POLICIES);
    let count = choices.pick([1, 1, 2, 3]);
    let heads = (0..count).map(|_| [0, choices.byte() % FORKS.len() as u8]).collect();
    (way, heads)
}

/// Fuzzes shared journals and their ends: errors, created and destroyed accounts, failing reads.
pub(super) fn journals(bytes: &[u8]) -> Result<(), String> {
    let (mut case, mut choices) = (Case::from_bytes(bytes), Choices::new(bytes));
    let engines = [Engine::Store, Engine::Fibers, Engine::Threads];
    let policies = [
        Policy::Forced(Forced::Speculative),
        Policy::Sequential,
        Policy::Forced(Forced::Speculative),
        Policy::Forced(Forced::ContiguousBatches),
        Policy::Forced(Forced::Alternate),
        Policy::Forced(Forced::ContiguousBatches),
    ];
    let mut way = Way::draw(&mut choices, engines, policies);
    way.config.engine.share_journals = true;
    way.config.engine.chunk = NonZeroU32::new(choices.pick([3, 2, 7, 24, 64]));
    if choices.percent(20) {
        case.block = repeated(case.block);
    }
    let (fails, choice) = (choices.percent(30), choices.byte());
    let at = match fails {
        true => unreadable_place(&case.block, way.config.engine.mode, &case.database(), choice),
        false => None,
    };
    match at {
        None => way.check(&one(case)),
        Some(at) => {
            let database = Fault::At(at).of(case.database());
            way.check(&[(Arc::new(case.block), database)])
        }
    }
}

/// Fuzzes all ways of building the bundle: folded by other workers, on a parent's bundle, or while
/// its block is streamed, pulled from a pool, or executed on a borrowed database.
pub(super) fn bundle(bytes: &[u8]) -> Result<(), String> {
    let (mut case, mut choices) = (Case::from_bytes(bytes), Choices::new(bytes));
    let policies = [
        Policy::Sequential,
        Policy::Forced(Forced::ContiguousBatches),
        Policy::Forced(Forced::ContiguousBatches),
        Policy::Auto,
        Policy::Forced(Forced::Speculative),
        Policy::Forced(Forced::Alternate),
    ];
    let way = Way::draw(&mut choices, [Engine::Fibers, Engine::Threads], policies);
    reached::note(&format!("shape, {}", enlarge(&mut case, &mut choices)));
    let entry = choices.byte() % 8;
    let (database, config) = (case.database(), way.config);
    let block = Arc::new(case.block);
    let make = Make::plain(config);
    match entry {
        0..=2 => way.check(&[(block, database)]),
        3 | 4 => {
            let blocks = halved(plain::bare(&block));
            on_parents(&way, blocks, &database, Own::default())
        }
        5 => {
            reached::note("entry, stream");
            let mut executor = make.take()?;
            ways::stream(&mut executor, &block, &database)?;
            make.keep(executor);
            Ok(())
        }
        6 => {
            reached::note("entry, pool");
            let mut executor = make.take()?;
            ways::pool(&mut executor, &block, &database)?;
            make.keep(executor);
            Ok(())
        }
        _ => {
            reached::note("entry, borrowed database");
            ways::scoped(config, &block, &database)
        }
    }
    .map_err(|wrong| format!("{way:?}: {wrong}"))
}

/// Fuzzes a block with its access list, which the input may change.
pub(super) fn lists(bytes: &[u8]) -> Result<(), String> {
    let (mut case, mut choices) = (Case::from_bytes(bytes), Choices::new(bytes));
    let policies = [
        Policy::Forced(Forced::AccessList),
        Policy::Auto,
        Policy::Forced(Forced::AccessList),
        Policy::Sequential,
        Policy::Forced(Forced::AccessList),
        Policy::Forced(Forced::ContiguousBatches),
        Policy::Forced(Forced::Speculative),
    ];
    let mut way = Way::draw(&mut choices, [Engine::Fibers, Engine::Threads], policies);
    way.config.engine.mode = Mode::Validate;
    way.config.access_list = choices.percent(70);
    let spoils = choices.percent(75);
    let mut draw = draws(u64::from(choices.byte()) << 8 | u64::from(choices.byte()));
    if choices.percent(30) {
        reached::note(&format!("shape, {}", enlarge(&mut case, &mut choices)));
    }
    let draw: Option<Draw<'_>> = if spoils { Some(&mut draw) } else { None };
    match Listed::new(&case.block, &case.database(), draw)? {
        Some(listed) => way.check_listed(&listed, &case.database()),
        // An invalid block has no list.
        None => way.check(&one(case)),
    }
}

/// Fuzzes a block with complete or incomplete declarations.
pub(super) fn declared(bytes: &[u8]) -> Result<(), String> {
    let mut choices = Choices::new(bytes);
    let policies = [
        Policy::Forced(Forced::Speculative),
        Policy::Auto,
        Policy::Forced(Forced::Alternate),
        Policy::Sequential,
        Policy::Forced(Forced::ContiguousBatches),
        Policy::Forced(Forced::ContiguousBatches),
        Policy::Forced(Forced::Speculative),
    ];
    let mut way = Way::draw(&mut choices, [Engine::Fibers, Engine::Threads], policies);
    way.config.engine.mode = Mode::Build;
    way.config.access_list = choices.percent(30);
    if choices.percent(50) {
        reached::note("declared, all of it");
        let mut bytes = bytes.iter();
        // Zeros follow the last byte.
        let case = honest(&mut |end| usize::from(*bytes.next().unwrap_or(&0)) % end.max(1));
        let (block, database) = (&case.block, case.database());
        return way.check_declared(&Declared::honest(block, &database), &database);
    }
    let mut case = Case::from_bytes(bytes);
    if choices.percent(30) {
        reached::note(&format!("shape, {}", enlarge(&mut case, &mut choices)));
    }
    let mut draw = draws(u64::from(choices.byte()) << 8 | u64::from(choices.byte()));
    let database = case.database();
    let declared = Declared::spoiled(&case.block, &database, &mut draw);
    let is_left = !declared.left().is_empty();
    reached::note(if is_left { "declared, less than that" } else { "declared, and kept to" });
    way.check_declared(&declared, &database)
}

/// Checks a block of any origin, executed as the last of `bytes` choose.
pub(super) fn block<D: Copies>(block: Block, database: D, bytes: &[u8]) -> Result<(), String>
where
    D::Error: core::fmt::Debug,
{
    let engines = [Engine::Store, Engine::Threads, Engine::Fibers];
    let way = Way::draw(&mut Choices::new(bytes), engines, POLICIES);
    way.check(&[(Arc::new(block), database)])
}

fn one(case: Case) -> [(Arc<Block>, MemoryDatabase); 1] {
    let database = case.database();
    [(Arc::new(case.block), database)]
}

/// Executes `blocks`, each on the bundle of the preceding ones, on threads with the chain's
/// extensions, and compares each with plain revm.
fn on_parents(
    way: &Way,
    blocks: Vec<Block>,
    database: &MemoryDatabase,
    mut own: Own,
) -> Result<(), String> {
    let mut config = way.config;
    (config.engine.mode, config.access_list) = (Mode::Build, true);
    let (surcharge, precompile) = (own.surcharge, own.precompile);
    let make = Make { config, surcharge, precompile };
    let mut executor = make.take()?;
    for (number, block) in blocks.into_iter().map(Arc::new).enumerate() {
        let expected = plain::build(&block, database, &own);
        let source = Cloned(database.clone());
        let found = match own.parent.take() {
            None => executor.block(Arc::clone(&block)).state(source).execute(),
            Some(parent) => {
                reached::note("entry, on a parent's bundle");
                executor.block(Arc::clone(&block)).state(source).parent(parent).execute()
            }
        };
        reached::note_block(&config, &found);
        plain::compare(&expected, &found)
            .map_err(|wrong| format!("block {number}, {make:?}: {wrong}"))?;
        own.parent = Some(expected.bundle);
    }
    for (is_there, what) in
        [(surcharge.is_some(), "surcharge"), (precompile.is_some(), "precompile")]
    {
        if is_there {
            reached::note(what);
        }
    }
    make.keep(executor);
    Ok(())
}
