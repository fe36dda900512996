//! Cancellation keeps finished results: transactions executed before the token was cancelled are
//! committed, as far as there is no gap.

use crate::support::POLICIES;
use crate::support::scene::{Scene, call, numbered, pay};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::Address;
use braid_blocks::code::Code;
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::memory::MemoryDatabase;
use braid_evm::{
    BlockErrorKind, BlockOutput, BlockPosition, CancellationToken, Cloned, Config, Executor,
    Forced, Mode, Policy, Rejection, TransactionPool,
};
use braid_testkit::oracle::{Expected, compare_prefix};
use core::ops::ControlFlow;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Returns whether each result is kept until it is committed. A speculative segment that is
/// abandoned, as in alternation, keeps none, and the token may be noticed before the same
/// transactions have run again. If two workers run the same batch, only the first report counts,
/// which may have fewer results.
fn keeps_results(policy: Policy, output: &BlockOutput) -> bool {
    policy != Policy::Forced(Forced::Alternate) && output.stats.helped_batches == 0
}

fn executor(workers: u16, policy: Policy) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("not 0"));
    config.policy = policy;
    Executor::new(config).expect("threads start")
}

/// Returns payments between distinct senders and receivers.
fn payments(count: u64) -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    for tx in 0..count {
        let sender = scene.sender(tx);
        scene.send(sender, pay(numbered(0xd0, tx), 1));
    }
    scene
}

/// Cancels when one sender is read, and records which senders were read.
struct Noting {
    database: Hooked<MemoryDatabase>,
    token: CancellationToken,
    read: Arc<BTreeMap<Address, AtomicBool>>,
}

impl Noting {
    fn of(scene: &Scene, last: usize) -> Self {
        let senders = scene.block.transactions.iter().map(|tx| tx.caller);
        let read: BTreeMap<_, _> = senders.map(|it| (it, AtomicBool::new(false))).collect();
        let (read, token) = (Arc::new(read), CancellationToken::new());
        let (notes, cancels) = (Arc::clone(&read), token.clone());
        let last = scene.block.transactions[last].caller;
        let database = Hooked::watched(scene.database(), move |read| {
            let Read::Account(address) = read else { return };
            if let Some(is_read) = notes.get(&address) {
                is_read.store(true, SeqCst);
            }
            if address == last {
                cancels.cancel();
            }
        });
        Self { database, token, read }
    }

    /// Returns the number of leading transactions that have started without a gap.
    fn begun(&self, transactions: &[TxEnv]) -> usize {
        let is_begun = |tx: &&TxEnv| self.read[&tx.caller].load(SeqCst);
        transactions.iter().take_while(is_begun).count()
    }
}

/// Each worker finishes its transaction: all transactions that have started without a gap are
/// committed.
#[test]
pub(crate) fn what_has_begun_is_committed() {
    for (workers, policy, count) in POLICIES
        .iter()
        .flat_map(|policy| [1, 2, 8].map(|workers| (workers, *policy)))
        .flat_map(|(workers, policy)| [20, 100, 400].map(|count| (workers, policy, count)))
        .chain([(1, Policy::Sequential, 1_000), (1, Policy::Auto, 1_000)])
    {
        let scene = payments(count);
        let block = Arc::new(scene.block.clone());
        let mut executor = executor(workers, policy);
        for last in [count as usize / 2, count as usize - 1] {
            let noting = Noting::of(&scene, last);
            let request = executor.block(Arc::clone(&block)).database(noting.database.clone());
            let found = request.cancel(noting.token.clone()).execute();
            let what = format!("{policy:?}, {workers} workers, {last} of {count}");
            let begun = noting.begun(&block.transactions);
            let output = match found {
                Ok(output) => {
                    assert_eq!(output.outcomes.len(), block.transactions.len(), "{what}");
                    output
                }
                Err(error) => {
                    assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{what}: {error}");
                    assert_ne!(error.at, BlockPosition::PostBlock, "{what}");
                    *error.committed
                }
            };
            let committed = output.outcomes.len();
            let has_all = committed >= begun || !keeps_results(policy, &output);
            assert!(has_all, "{what}: {committed} of {begun} that had begun");
            assert!(workers > 1 || committed == last + 1, "{what}: {committed}");
            compare_prefix(&block, Mode::Validate, &scene.database(), &output, false)
                .unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
        }
    }
}

/// Conflicts, invalid transactions and several transactions of one sender: the committed ones form
/// a prefix and a complete block.
#[test]
fn what_is_committed_is_what_sequential_execution_gives() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let counter = scene.contract(0, Code::new().increment(0, 1));
    for tx in 0..200 {
        let sender = scene.sender(tx % 150);
        let to = if tx % 5 == 0 { call(counter) } else { pay(numbered(0xd0, tx), 1) };
        scene.send(sender, to);
        if tx % 17 == 3 {
            scene.block.transactions.last_mut().expect("one was sent").nonce += 7;
        }
    }
    let mut config = Config::with_workers(NonZeroU16::new(3).expect("not 0"));
    config.engine.mode = Mode::Build;
    for policy in POLICIES {
        config.policy = policy;
        let mut executor = Executor::new(config).expect("threads start");
        for last in (0..150).step_by(7) {
            let noting = Noting::of(&scene, last);
            let request = executor.block(scene.block.clone()).database(noting.database.clone());
            let found = request.cancel(noting.token.clone()).execute();
            let output = found.unwrap_or_else(|error| {
                assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{policy:?}: {error}");
                *error.committed
            });
            compare_prefix(&scene.block, Mode::Build, &scene.database(), &output, false)
                .unwrap_or_else(|wrong| panic!("{policy:?}, {last}: {wrong}"));
        }
    }
}

/// A condition that holds late is no error once all transactions are committed.
#[test]
fn a_token_that_comes_too_late_is_no_error() {
    let scene = payments(3);
    let block = Arc::new(scene.block.clone());
    for policy in POLICIES {
        for workers in [1, 2, 8] {
            let mut executor = executor(workers, policy);
            let mut whole = 0;
            for at in 0..200 {
                let asked = AtomicU64::new(0);
                let token = CancellationToken::when(move || asked.fetch_add(1, SeqCst) == at);
                let request = executor.block(Arc::clone(&block)).database(scene.database());
                match request.cancel(token).execute() {
                    Ok(output) => {
                        assert_eq!(output.outcomes.len(), 3);
                        whole += 1;
                    }
                    Err(error) => {
                        let committed = error.committed.outcomes.len();
                        assert!(committed < 3, "{policy:?}, {workers} workers, at {at}: {error}");
                    }
                }
            }
            assert!(whole > 0, "{policy:?}, {workers} workers");
        }
    }
}

/// Hands out transactions in order.
struct Waiting(std::vec::IntoIter<TxEnv>);

impl TransactionPool for Waiting {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        self.0.next()
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        panic!("{tx:?}: {reason}");
    }
}

/// The block consists of the results at the time of cancellation. Later results are absent, also
/// for the withdrawals, which credit the accounts they paid.
#[test]
fn a_builder_gets_what_has_run() {
    let mut scene = payments(600);
    let transactions = core::mem::take(&mut scene.block.transactions);
    let withdrawal = |(index, tx): (u64, &TxEnv)| Withdrawal {
        index,
        address: tx.kind.to().copied().expect("a payment"),
        amount: 5,
        validator_index: index,
    };
    scene.block.withdrawals = Some((0..).zip(&transactions).map(withdrawal).collect());
    for policy in POLICIES {
        for workers in [1, 2, 8] {
            for last in [0, 40, 300, 599] {
                let mut whole = scene.clone();
                whole.block.transactions = transactions.clone();
                let noting = Noting::of(&whole, last);
                let mut executor = executor(workers, policy);
                let mut pool = Waiting(transactions.clone().into_iter());
                let request =
                    executor.block(scene.block.clone()).state(Cloned(noting.database.clone()));
                let built = request.cancel(noting.token.clone()).build(&mut pool);
                let built = built.unwrap_or_else(|error| panic!("{policy:?}: {error}"));
                let what = format!("{policy:?}, {workers} workers, {last}");
                let (count, begun) = (built.block.transactions.len(), noting.begun(&transactions));
                let has_all = count >= begun || !keeps_results(policy, &built.output);
                assert!(has_all, "{what}: {count} of {begun}");
                let expected = Expected::new(&built.block, Mode::Build, &scene.database());
                let found = expected.compare(&Ok(built.output));
                found.unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
            }
        }
    }
}

/// Ending the stream ends the block with an error, whatever the token says.
#[test]
fn a_stream_that_has_ended_is_an_error_beside_a_token() {
    let mut scene = payments(100);
    let transactions = core::mem::take(&mut scene.block.transactions);
    for policy in POLICIES {
        for workers in [1, 2] {
            let (token, mut executor) = (CancellationToken::new(), executor(workers, policy));
            let mut pool = Waiting(transactions.clone().into_iter());
            let request = executor.block(scene.block.clone()).database(scene.database());
            let request = request.cancel(token.clone()).on_commit(|committed| {
                if committed.tx.position() < 3 {
                    return ControlFlow::Continue(());
                }
                token.cancel();
                ControlFlow::Break(())
            });
            let error = request.build(&mut pool).expect_err("the caller wants no more");
            assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{policy:?}: {error}");
        }
    }
}
