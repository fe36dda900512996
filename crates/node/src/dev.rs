//! Control of a development node by its clients: mining, the clock, the state and senders.

use crate::accounts::Accounts;
use alloy_primitives::{Address, B256};
use braid_chain::AccountEdit;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Change that the block-making thread carries out.
#[derive(Debug)]
pub(crate) enum Command {
    /// Makes the blocks that new transactions call for. The answer comes when clients see these
    /// blocks.
    Settle,
    /// Makes `blocks` blocks, `interval` seconds apart.
    Mine { blocks: u64, interval: Option<u64> },
    /// Takes a snapshot of the state; the result is its id.
    Snapshot,
    /// Returns to a snapshot; the result is 0 if there is none with this id.
    Revert(u64),
    /// Returns to the chain's first block.
    Reset,
    /// Changes an account.
    Edit(Address, AccountEdit),
    /// Removes a transaction from the pool; the result is 0 if the pool does not have it.
    Drop(B256),
    /// Removes all transactions from the pool.
    DropAll,
    /// Mines each transaction as it arrives, or stops doing so.
    SetAutomine(bool),
    /// Makes a block at this interval, even without transactions; zero turns this off.
    SetInterval(Duration),
    /// The result is 1 if transactions are mined as they arrive.
    GetAutomine,
}

/// Command with the channel for its result.
pub(crate) type Request = (Command, Sender<Result<u64, String>>);

/// State that all threads of a development node share.
#[derive(Debug)]
pub(crate) struct Dev {
    pub(crate) accounts: Accounts,
    commands: Sender<Request>,
    impersonated: Mutex<Impersonated>,
}

/// Senders whose transactions need no signature.
#[derive(Debug, Default)]
struct Impersonated {
    senders: HashSet<Address>,
    /// Whether all senders are impersonated.
    is_everyone: bool,
}

impl Dev {
    /// Returns the shared state, and the end of the channel that the node's thread receives from.
    pub(crate) fn new() -> (Self, Receiver<Request>) {
        // Each client waits for its command, so their number is bounded by that of requests.
        let (commands, received) = unbounded();
        let impersonated = Mutex::default();
        (Self { accounts: Accounts::new(), commands, impersonated }, received)
    }

    /// Sends `command` to the block-making thread and waits for the result.
    ///
    /// # Errors
    /// The command is impossible, or the node has stopped.
    pub(crate) fn run(&self, command: Command) -> Result<u64, String> {
        let stopped = || "the node has stopped".to_owned();
        let (reply, result) = bounded(1);
        self.commands.send((command, reply)).map_err(|_| stopped())?;
        result.recv().unwrap_or_else(|_| Err(stopped()))
    }

    fn lock(&self) -> MutexGuard<'_, Impersonated> {
        self.impersonated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allows or forbids transactions of `sender` without its signature.
    pub(crate) fn impersonate(&self, sender: Address, may: bool) {
        let senders = &mut self.lock().senders;
        if may {
            senders.insert(sender);
        } else {
            senders.remove(&sender);
        }
    }

    /// Allows or forbids transactions of all senders without signatures.
    pub(crate) fn impersonate_everyone(&self, may: bool) {
        self.lock().is_everyone = may;
    }

    pub(crate) fn is_impersonated(&self, sender: &Address) -> bool {
        let impersonated = self.lock();
        impersonated.is_everyone || impersonated.senders.contains(sender)
    }

    /// Forgets all impersonated senders.
    pub(crate) fn reset(&self) {
        *self.lock() = Impersonated::default();
    }
}
