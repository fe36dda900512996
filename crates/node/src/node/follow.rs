//! A node that copies another node's chain instead of making blocks.

use super::{LOOK, Node, Observer, view};
use crate::{
    error::NodeError,
    follow::{Fetched, FollowError, last_common},
    restart,
    upstream::Upstream,
};
use braid_chain::{ChainBlock, ChainError, Executed, Head, StateStore, StoreError};
use core::fmt;
use crossbeam_channel::{Receiver, after, select};
use revm::DatabaseRef;
use std::{
    convert::Infallible,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// A node that fetches the blocks of another node, executes them, and serves them. Transactions
/// that clients send are forwarded to the followed node.
pub struct Follower<S: StateStore> {
    node: Node<S>,
    upstream: Arc<Upstream>,
}

impl<S: StateStore> fmt::Debug for Follower<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl<S: StateStore> Follower<S> {
    /// Lets `node` follow `upstream`, which must have the same genesis. `node` must not be a
    /// development node.
    #[must_use]
    pub fn new(node: Node<S>, upstream: Upstream) -> Self {
        let upstream = Arc::new(upstream);
        upstream.set_copied(node.chain.head().number);
        node.shared.upstream.get_or_init(|| Arc::clone(&upstream));
        node.shared.usage().follows(Arc::clone(&upstream));
        Self { node, upstream }
    }

    /// Returns the node, for servers.
    #[must_use]
    pub const fn node(&self) -> &Node<S> {
        &self.node
    }

    /// Copies blocks until `stopped` is disconnected; all blocks are durable when it returns. If
    /// the followed node has no further block, looks again after `pause`; if it does not answer,
    /// after twice as long each time, up to half a minute. If the node has replaced blocks, unwinds
    /// them, and goes on after the last block that both have. `observer` is notified of each block,
    /// and `report` is told when the followed node does not answer or has replaced blocks.
    ///
    /// # Errors
    /// The followed node has another chain, or has replaced more blocks than can be unwound, a block failed, or its result differs from its header.
    /// Clients of the server receive the error; the blocks before are durable, unless the store failed.
    pub fn run(
        &mut self,
        pause: Duration,
        stopped: &Receiver<Infallible>,
        observer: &mut impl Observer,
        report: fn(String),
    ) -> Result<Head, NodeError> {
        let ran = loop {
            let (upstream, rules) =
                (Arc::clone(&self.upstream), self.node.shared.producer.rules.clone());
            let head = self.node.chain.head();
            let fetched = Fetched::start(upstream, rules, head, pause, report);
            let ran = fetched
                .map_err(NodeError::from)
                .and_then(|fetched| self.copy(&fetched.blocks, stopped, observer));
            // All blocks before this error were executed.
            let Err(NodeError::Follow(other @ FollowError::Block { .. })) = ran else { break ran };
            match self.unwind_to_common(other, report) {
                Ok(()) => {}
                // The node is asked again.
                Err(NodeError::Follow(FollowError::Answer { may_pass: true, .. })) => select! {
                    recv(stopped) -> _ => break Ok(()),
                    recv(after(pause)) -> _ => {}
                },
                Err(error) => break Err(error),
            }
        };
        self.node.end(ran)
    }

    /// Unwinds the blocks that the followed node does not have. `other` is the error for the last
    /// one, which is returned if the blocks cannot be unwound.
    fn unwind_to_common(
        &mut self,
        other: FollowError,
        report: fn(String),
    ) -> Result<(), NodeError> {
        let Self { node, upstream } = self;
        node.chain.flush()?;
        node.shared.show();
        let (state, head) = (node.chain.state()?, node.chain.head().number);
        let ours = |number| state.block_hash_ref(number).ok().filter(|hash| !hash.is_zero());
        let common = last_common(upstream, (node.shared.first(), head), ours)?;
        let Some(number) = common else { return Err(other.into()) };
        let Ok(Some(parent)) = node.shared.block(number) else { return Err(other.into()) };
        let blocks = head.saturating_sub(number);
        match node.chain.unwind(blocks) {
            Err(ChainError::Store(StoreError::NoUndo { .. })) => return Err(other.into()),
            unwound => unwound?,
        };
        node.parent = parent;
        let view = view(&node.shared.producer, &node.parent, node.chain.state()?);
        node.shared.rewind(view);
        upstream.set_copied(number);
        upstream.add_unwound(blocks);
        let origin = upstream.origin();
        report(format!(
            "{origin} has replaced its blocks from {} on: unwound {blocks}, to block {number}",
            number.saturating_add(1)
        ));
        Ok(())
    }

    fn copy(
        &mut self,
        blocks: &Receiver<Result<ChainBlock, FollowError>>,
        stopped: &Receiver<Infallible>,
        observer: &mut impl Observer,
    ) -> Result<(), NodeError> {
        loop {
            select! {
                recv(stopped) -> _ => return Ok(()),
                recv(blocks) -> block => {
                    let ended = || io::Error::other("the thread has panicked");
                    let block = block.map_err(|_| FollowError::Thread(ended()))?;
                    observer.begin();
                    let begun = Instant::now();
                    let executed = self.append(block?)?;
                    observer.executed(&executed, begun.elapsed());
                }
                // The writer compares the last block's state root with its header, and nothing else
                // would ask for its result before the next block.
                recv(after(LOOK)) -> _ => {
                    self.node.chain.flush()?;
                    self.node.shared.show();
                }
            }
        }
    }

    /// Executes the next block and publishes it to the server.
    fn append(&mut self, block: ChainBlock) -> Result<Executed, NodeError> {
        let rlp = block.rlp.clone();
        let senders = block.block.transactions.iter().map(|tx| tx.caller).collect();
        let executed = self.node.chain.execute(block)?;
        let head = executed.changes.head;
        let receipts = executed.output.receipts.clone();
        let rules = &self.node.shared.producer.rules;
        let stored = restart::executed(head, &rlp, receipts, senders, rules)?;
        self.node.publish(Arc::new(stored), &executed.changes)?;
        self.upstream.set_copied(head.number);
        Ok(executed)
    }
}
