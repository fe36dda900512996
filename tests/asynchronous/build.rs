//! Awaits blocks that are built from a pool. The pool is returned with the block or the error, and
//! is dropped with a dropped future.

use super::{PAYMENTS, essence, executor, gated, on_both, payments};
use crate::support::scene::{Scene, pay, rich};
use alloy_primitives::Address;
use braid_blocks::faulty::Fault;
use braid_blocks::hooked::Read;
use braid_evm::{
    BlockErrorKind, CancellationToken, Config, Executor, Mode, Rejection, TransactionPool,
};
use braid_testkit::oracle::Expected;
use core::ops::ControlFlow;
use revm::context::TxEnv;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hands out transactions in order, and records skipped nonces.
#[derive(Clone, Debug, Default)]
struct Queue {
    waiting: VecDeque<TxEnv>,
    skipped: Vec<u64>,
    held: Arc<()>,
}

impl TransactionPool for Queue {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        self.waiting.pop_front()
    }

    fn skipped(&mut self, tx: &TxEnv, _: &Rejection) {
        self.skipped.push(tx.nonce);
    }
}

/// Returns a block without transactions, and a pool of payments with one missing nonce.
fn offers() -> (Scene, Queue) {
    let mut scene = payments();
    let mut queue = Queue::default();
    let payments = core::mem::take(&mut scene.block.transactions).into_iter();
    queue.waiting = payments.map(|tx| TxEnv { gas_limit: 21_000, ..tx }).collect();
    let gap = TxEnv { nonce: 7_000, ..queue.waiting[40].clone() };
    queue.waiting.insert(40, gap);
    (scene, queue)
}

#[test]
fn a_pool_comes_back_with_its_block() {
    let (mut scene, offered) = offers();
    // Room for most of the payments.
    scene.block.env.gas_limit = 21_000 * 300;
    let (mut pool, mut plain) = (offered.clone(), Executor::new(Config::default()).expect("it"));
    let request = plain.block(scene.block.clone()).database(scene.database());
    let expected = request.build(&mut pool).expect("a block");
    assert!(expected.output.receipts.len() == 300 && !pool.waiting.is_empty());
    assert_eq!(pool.skipped, [7_000]);
    on_both(|| async {
        let (handle, commits) = (executor(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&commits);
        let request = handle.block(scene.block.clone()).database(scene.database());
        let request = request.on_commit(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            ControlFlow::Continue(())
        });
        let (back, built) = request.build(offered.clone()).await;
        let built = built.expect("a block");
        assert_eq!(built.block.transactions, expected.block.transactions);
        assert_eq!(essence(&built.output), essence(&expected.output));
        assert!(built.output.bundle == expected.output.bundle);
        assert_eq!((back.waiting, back.skipped), (pool.waiting.clone(), pool.skipped.clone()));
        // Skipped transactions are reported too.
        assert_eq!(commits.load(Ordering::SeqCst), built.output.outcomes.len());
    });
}

#[test]
fn a_pool_comes_back_beside_an_error() {
    on_both(|| async {
        let (mut scene, mut pool) = offers();
        let unread = scene.put(Address::repeat_byte(0x77), rich());
        pool.waiting.push_front(TxEnv { caller: unread, nonce: 0, ..pay(unread, 1) });
        let database = Fault::At(Read::Account(unread)).of(scene.database());
        let handle = executor();
        let (back, built) = handle.block(scene.block.clone()).database(database).build(pool).await;
        let error = built.expect_err("the sender cannot be read");
        assert!(matches!(error.kind, BlockErrorKind::Base(_)), "{error}");
        assert!(back.waiting.len() < PAYMENTS, "nothing was asked for");
        // The returned pool serves the next block.
        let request = handle.block(scene.block.clone()).database(scene.database());
        assert!(request.build(back).await.1.is_ok());
    });
}

/// Cancels its token after handing out a number of transactions.
struct Impatient {
    queue: Queue,
    left: usize,
    token: CancellationToken,
}

impl TransactionPool for Impatient {
    fn next(&mut self, gas_left: u64) -> Option<TxEnv> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.token.cancel();
        }
        self.queue.next(gas_left)
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        self.queue.skipped(tx, reason);
    }
}

#[test]
fn a_token_gives_the_block_that_there_is() {
    on_both(|| async {
        let ((scene, queue), token) = (offers(), CancellationToken::new());
        let pool = Impatient { queue, left: 300, token: token.clone() };
        let request = executor().block(scene.block.clone()).database(scene.database());
        let (back, built) = request.cancel(token).build(pool).await;
        let built = built.expect("a token is no error here");
        assert!(built.block.transactions.len() < 300 && !back.queue.waiting.is_empty());
        let expected = Expected::new(&built.block, Mode::Build, &scene.database());
        let found = expected.compare(&Ok(built.output));
        found.unwrap_or_else(|wrong| panic!("{wrong}"));
    });
}

#[test]
fn a_future_that_is_dropped_ends_its_block_and_drops_the_pool() {
    on_both(|| async {
        let ((scene, pool), handle) = (offers(), executor());
        let ((database, gate), held) = (gated(&scene), Arc::clone(&pool.held));
        let token = CancellationToken::new();
        let request = handle.block(scene.block.clone()).database(database).cancel(token.clone());
        tokio::select! {
            _ = request.build(pool) => panic!("the gate is closed"),
            () = gate.begun.notified() => {}
        }
        assert!(token.is_cancelled(), "the block goes on");
        gate.open();
        // The next call runs after that block has ended.
        assert_eq!(handle.run(|executor| executor.config().workers.get()).await, 2);
        assert_eq!(Arc::strong_count(&held), 1, "the pool is still there");
    });
}
