//! The path of a block: pre-block calls, transactions, post-block calls, bundle.

use super::block::committed::Committed;
use super::block::error::BlockError;
use super::block::output::BlockOutput;
use super::crew::Crew;
use super::crew::{empty_store, seeded};
use super::engine::workload::EvmWorkload;
use super::exec::any::AnySource;
use super::exec::base::StateSource;
use super::exec::extensions::Extensions;
use super::exec::input::Block;
use super::exec::traffic::Traffic;
use super::finish::{Rest, finish};
use super::follower::is_followed;
use super::lanes::is_worth_lanes;
use super::listed::may_read_claims;
use super::mutants::EvmMutant;
use super::parts::{FEW, is_worth_parting};
use super::plan::{is_serial, is_small};
use super::prepare::begin;
use super::pull::{BuiltBlock, ROUND, TransactionPool};
use super::session::{Session, expects_chain};
use super::trials::Trials;
use crate::config::{Config, Mode};
use crate::mv::Store;
use crate::protocol::Policy;
use core::ops::ControlFlow;
use revm::database::BundleState;
use revm::database_interface::ErasedError;
use std::sync::Arc;

/// Called on the caller's thread after each commit.
pub(crate) type OnCommit<'f> = &'f mut dyn FnMut(Committed) -> ControlFlow<()>;

/// What a call of the executor takes beside the block and the source of state.
pub(crate) struct Options<'f> {
    pub(crate) config: Config,
    pub(crate) extensions: Extensions,
    /// State changes of blocks before this one that the source does not have yet.
    pub(crate) parent: Option<Arc<BundleState>>,
    /// `None` has no cost.
    pub(crate) on_commit: Option<OnCommit<'f>>,
    /// A bug to seed, for tests of the tests.
    pub(crate) mutant: EvmMutant,
}

/// Executes a block. See [`Executor`](crate::Executor).
pub(crate) fn execute<'env, C: Crew<'env>>(
    crew: &mut C,
    block: Arc<Block>,
    source: AnySource<'env>,
    options: Options<'_>,
) -> Result<BlockOutput, BlockError<ErasedError>> {
    let Options { config, extensions, parent, mut on_commit, mutant } = options;
    let (mut recipe, effects, overlay) =
        begin(block, &source, extensions, parent.as_ref(), (&config, mutant))?;
    let transactions = recipe.block.transactions.len();
    let mut is_foreseen = false;
    let is_followed = is_followed(crew.workers(), &config, transactions, parent.is_some());
    let tries_parts = recipe.shares;
    let alone = config.runs_alone(crew.workers(), || {
        if recipe.claims.is_some() {
            return is_small(&recipe.block);
        }
        // Where reads are slow, a run ahead has read for the others.
        let is_serial = || is_serial(&recipe.block, crew.workers(), (is_followed, tries_parts));
        let is_serial = !crew.is_wide() && is_serial();
        is_foreseen = !is_serial && expects_chain(crew, &config, &recipe.block.transactions);
        is_serial || is_foreseen
    });
    // More than two run parts of what they leave to one, if it comes to that.
    let reads_alone = alone && !(tries_parts && crew.workers() > 2);
    let traffic = traffic(&source, crew.workers(), reads_alone);
    recipe.reads_claims = !alone && may_read_claims(&recipe, &config);
    let workload = EvmWorkload::new(recipe, source, overlay, traffic);
    let mut session = Session::new(workload, seeded(Store::new(1), mutant), alone);
    session.tally.foreseen_stretches += u64::from(is_foreseen);
    let by_turns = matches!(config.policy, Policy::Parts | Policy::Lanes);
    let is_listed = session.workload.recipe.reads_claims;
    let in_parts = !is_listed && is_worth_parting(crew, &config, &session);
    let follows = alone && is_followed;
    // The worker that adopts parts makes the bundle, too; if many run them all do it at the end,
    // unless most is left then and a worker follows.
    let folds = (in_parts || by_turns || is_listed) && crew.workers() <= FEW && parent.is_none();
    if folds || (follows && !in_parts) {
        session.make_bundle_meanwhile(&effects, &config);
    }
    let mut failure = None;
    if is_listed {
        (session, failure) = session.run_listed(crew, &config, on_commit.as_mut());
    } else if in_parts {
        (session, failure) = session.try_parts(crew, &config, on_commit.as_mut());
        let is_most_left = session.left(transactions) > transactions / 2;
        if follows && !session.ledger.growing.has_bundle() && is_most_left {
            session.make_bundle_meanwhile(&effects, &config);
        }
    }
    if failure.is_none() && session.left(transactions) > 0 {
        let in_lanes = is_worth_lanes(crew, &config, &session);
        let needs_none = alone && !in_lanes;
        let store = empty_store(crew, &config, transactions, needs_none);
        session.store = Arc::new(seeded(store, mutant));
        session.seed(&effects);
        if !(follows || by_turns) {
            // What is left is put into the bundle by all workers at the end.
            session.ledger.growing.give_up_bundle();
        }
        if in_lanes {
            (session, failure) = session.try_lanes(transactions, crew, &config, on_commit.as_mut());
        }
    }
    if failure.is_none() && session.left(transactions) > 0 {
        let mut trials = trials(crew, &config);
        (session, failure) = session.run(crew, &config, &mut trials, on_commit.as_mut());
    }
    finish(crew, session, failure, Rest { effects, parent, config })
}

/// Builds a block from transactions that `pool` hands out, in rounds of a fixed size, so that
/// the result does not depend on the workers. See [`Executor::build`](crate::Executor::build).
pub(crate) fn build<'env, C: Crew<'env>>(
    crew: &mut C,
    block: Block,
    source: AnySource<'env>,
    pool: &mut dyn TransactionPool,
    options: Options<'_>,
) -> Result<BuiltBlock, BlockError<ErasedError>> {
    let Options { mut config, extensions, parent, mut on_commit, mutant } = options;
    config.mode = Mode::Build;
    let (recipe, effects, overlay) =
        begin(block.into(), &source, extensions, parent.as_ref(), (&config, mutant))?;
    // What the pool will hand out is not known.
    let alone = config.runs_alone(crew.workers(), || false);
    let traffic = traffic(&source, crew.workers(), alone);
    let workload = EvmWorkload::new(recipe, source, overlay, traffic);
    let store = seeded(empty_store(crew, &config, ROUND, alone), mutant);
    let mut session = Session::new(workload, store, alone);
    session.seed(&effects);
    // How much there will be is not known either.
    if alone && is_followed(crew.workers(), &config, 0, parent.is_some()) {
        session.make_bundle_meanwhile(&effects, &config);
    }
    let (mut trials, mut failure) = (trials(crew, &config), None);
    while failure.is_none() && session.pull(pool) {
        let first = session.frontier;
        (session, failure) = session.run(crew, &config, &mut trials, on_commit.as_mut());
        session.tell(first, pool);
    }
    let block = Arc::clone(&session.workload.recipe.block);
    let output = finish(crew, session, failure, Rest { effects, parent, config })?;
    Ok(BuiltBlock { block, output })
}

/// Where reads are slow speculation is never given up: a run ahead has read for the others.
fn trials<'env>(crew: &impl Crew<'env>, config: &Config) -> Trials {
    Trials::new(config.policy, !crew.is_wide())
}

/// Counts who is inside the database, where that can tell anything.
fn traffic(source: &impl StateSource, workers: usize, alone: bool) -> Arc<Traffic> {
    let counts = !alone && source.reads_overlap();
    Arc::new(Traffic::new(if counts { workers } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::crew::Team;
    use crate::evm::exec::base::Cloned;
    use crate::evm::exec::rejection::Rejection;
    use crate::protocol::Policy;
    use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
    use revm::bytecode::Bytecode;
    use revm::context::TxEnv;
    use revm::database::{CacheDB, EmptyDB};
    use revm::state::AccountInfo;
    use std::num::NonZeroU16;

    const COUNTER: Address = Address::repeat_byte(0xcc);

    /// Calls of one contract, which counts them: each needs the one before.
    fn chain(calls: u64) -> (Block, Cloned<CacheDB<EmptyDB>>) {
        let mut state = CacheDB::new(EmptyDB::new());
        let code = Bytecode::new_raw(hex!("600054600101600055").into());
        state.insert_account_info(COUNTER, AccountInfo::default().with_code(code));
        let call = |sender: u64| TxEnv {
            caller: Address::left_padding_from(&(sender + 1_000).to_be_bytes()),
            kind: TxKind::Call(COUNTER),
            data: Bytes::from([7; 4]),
            gas_limit: 50_000,
            chain_id: Some(1),
            ..TxEnv::default()
        };
        let mut block = Block { transactions: (0..calls).map(call).collect(), ..Block::default() };
        block.parent_beacon_block_root = Some(alloy_primitives::B256::ZERO);
        (block, Cloned(state))
    }

    fn team() -> (Team, Config) {
        let team = Team::new((2, 2), true).expect("a thread");
        let two = NonZeroU16::new(2).expect("not zero");
        (team, Config { learn: true, ..Config::with_workers(two) })
    }

    fn taught(team: &mut Team, calls: &[TxEnv]) {
        for _ in 0..3 {
            team.experience().expect("a team remembers").learn(calls, true);
        }
    }

    fn options(config: Config) -> Options<'static> {
        let (extensions, mutant) = (Extensions::default(), EvmMutant::default());
        Options { config, extensions, parent: None, on_commit: None, mutant }
    }

    fn run(team: &mut Team, config: Config, calls: u64) -> BlockOutput {
        let (block, state) = chain(calls);
        let done = execute(team, block.into(), AnySource::new(state), options(config));
        done.expect("a valid block")
    }

    fn assert_same(found: &BlockOutput, expected: &BlockOutput, calls: u64) {
        assert_eq!((&found.outcomes, &found.receipts), (&expected.outcomes, &expected.receipts));
        assert_eq!(found.bundle, expected.bundle);
        let counter = found.bundle.account(&COUNTER);
        let counted = counter.and_then(|account| account.storage.get(&U256::ZERO));
        assert_eq!(counted.map(|slot| slot.present_value), Some(U256::from(calls)));
    }

    #[test]
    fn what_was_learned_changes_how_a_block_runs_and_nothing_else() {
        let (mut team, config) = team();
        let first = run(&mut team, config, 60);
        assert!(!first.stats.alone && first.stats.foreseen_stretches == 0);
        taught(&mut team, &chain(60).0.transactions);
        // A policy that says how to run, and who does not want to learn, are not overruled.
        for policy in [Policy::ForceSpeculative, Policy::Alternate] {
            let config = Config { policy, ..config };
            assert_eq!(run(&mut team, config, 60).stats.foreseen_stretches, 0);
        }
        let config_without = Config { learn: false, ..config };
        assert_eq!(run(&mut team, config_without, 60).stats.foreseen_stretches, 0);
        let later = run(&mut team, config, 60);
        assert!(later.stats.alone && later.stats.foreseen_stretches == 1);
        assert_same(&later, &first, 60);
    }

    /// Stretches that are too short to be given up tell nothing.
    #[test]
    fn a_short_stretch_forgives_nothing() {
        let (mut team, config) = team();
        taught(&mut team, &chain(60).0.transactions);
        // As calls of that contract are too few of them, the block is shared out, all of it.
        let (mut block, state) = chain(31);
        block.transactions.iter_mut().skip(20).for_each(|tx| tx.gas_limit = 1_000_000);
        block.transactions.iter_mut().skip(20).for_each(|tx| tx.data = Bytes::from([8; 4]));
        let done = execute(&mut team, block.into(), AnySource::new(state), options(config));
        assert_eq!(done.expect("a valid block").stats.foreseen_stretches, 0);
        assert_eq!(run(&mut team, config, 60).stats.foreseen_stretches, 1);
    }

    struct Calls(std::vec::IntoIter<TxEnv>);

    impl TransactionPool for Calls {
        fn next(&mut self, _: u64) -> Option<TxEnv> {
            self.0.next()
        }

        fn skipped(&mut self, _: &TxEnv, reason: &Rejection) {
            panic!("all are valid: {reason}");
        }
    }

    /// The first round is tried, whatever it brings; the later ones go on from where it ended.
    #[test]
    fn what_was_learned_holds_for_the_later_rounds_of_a_pool() {
        let calls = 600;
        let is_foreseen = |_| {
            let (mut team, config) = team();
            let expected = run(&mut team, Config { policy: Policy::InOrder, ..config }, calls);
            let (block, state) = chain(calls);
            taught(&mut team, &block.transactions);
            let mut pool = Calls(block.transactions.clone().into_iter());
            let block = Block { transactions: Vec::new(), ..block };
            let state = AnySource::new(state);
            let built = build(&mut team, block, state, &mut pool, options(config));
            let output = built.expect("a block").output;
            assert!(!output.stats.alone, "{:?}", output.stats);
            assert_same(&output, &expected, calls);
            // Where the other worker came late, on a machine that has much to do, little
            // speculation was wasted.
            output.stats.foreseen_stretches >= 1
        };
        assert!((0..100).any(is_foreseen), "no other worker has come in a hundred blocks");
    }
}
