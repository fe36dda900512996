//! A node that copies another node's chain instead of making blocks.

use super::{LOOK, Node, Observer};
use crate::{
    error::NodeError,
    follow::{Fetched, FollowError},
    restart,
    upstream::Upstream,
};
use braid_chain::{ChainBlock, Executed, Head, StateStore};
use core::fmt;
use crossbeam_channel::{Receiver, after, select};
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
        node.shared.upstream.get_or_init(|| Arc::clone(&upstream));
        Self { node, upstream }
    }

    /// Returns the node, for servers.
    #[must_use]
    pub const fn node(&self) -> &Node<S> {
        &self.node
    }

    /// Copies blocks until `stopped` is disconnected; all blocks are durable when it returns. If
    /// the followed node has no further block, looks again after `pause`. `observer` is notified of
    /// each block, and `report` is told when the followed node does not answer.
    ///
    /// # Errors
    /// The followed node has another chain, a block failed, or its result differs from its header.
    /// Clients of the server receive the error; the blocks before are durable, unless the store failed.
    pub fn run(
        &mut self,
        pause: Duration,
        stopped: &Receiver<Infallible>,
        observer: &mut impl Observer,
        report: fn(String),
    ) -> Result<Head, NodeError> {
        let (upstream, rules) =
            (Arc::clone(&self.upstream), self.node.shared.producer.rules.clone());
        let head = self.node.chain.head();
        let fetched = Fetched::start(upstream, rules, head, pause, report);
        let ran = fetched
            .map_err(NodeError::from)
            .and_then(|fetched| self.copy(&fetched.blocks, stopped, observer));
        self.node.end(ran)
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
        Ok(executed)
    }
}
