//! Serves a single-threaded database to all workers.

use crate::evm::StateSource;
use crate::ids::WorkerId;
use crate::panics::caught;
use crate::sync::{Receiver, Sender, bounded};
use alloy_primitives::{Address, B256, U256};
use core::fmt;
use revm::DatabaseRef;
use revm::context::DBErrorMarker;
use revm::state::{AccountInfo, Bytecode};

/// Reason why a read of a worker failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServedError<E> {
    /// The database failed.
    #[error(transparent)]
    Base(E),
    /// The thread of the database panicked and no longer answers.
    #[error("the thread of the database is gone")]
    Gone,
}

impl<E: core::error::Error + Send + Sync + 'static> DBErrorMarker for ServedError<E> {}

enum Question {
    Account(Address),
    Code(B256),
    Slot(Address, U256),
    BlockHash(u64),
}

#[derive(Debug)]
enum Answer {
    Account(Option<AccountInfo>),
    Code(Bytecode),
    Slot(U256),
    BlockHash(B256),
}

/// A question with its reply channel.
pub(super) struct Request<E> {
    question: Question,
    reply: Sender<Result<Answer, E>>,
}

/// A state source whose handles send their reads to the database's thread.
pub(super) struct Served<E> {
    requests: Sender<Request<E>>,
}

/// The handle of one worker.
pub(super) struct Asking<E> {
    requests: Sender<Request<E>>,
}

/// Creates a source for `workers` workers, and the receiver of their requests.
pub(super) fn served<E>(workers: usize) -> (Served<E>, Receiver<Request<E>>) {
    let (requests, questions) = bounded(workers.max(1));
    (Served { requests }, questions)
}

/// Answers requests from `database` until all handles are dropped. After a panic no request is
/// answered, but all are still received, because their senders would wait for them.
///
/// # Panics
/// Panics with the payload of a panic in `database`, once all handles are dropped.
pub(super) fn serve<D: revm::Database>(database: &mut D, questions: &Receiver<Request<D::Error>>) {
    let mut panicked = None;
    while let Ok(Request { question, reply }) = questions.recv() {
        if panicked.is_some() {
            continue;
        }
        let answered = caught(|| match question {
            Question::Account(address) => database.basic(address).map(Answer::Account),
            Question::Code(hash) => database.code_by_hash(hash).map(Answer::Code),
            Question::Slot(address, slot) => database.storage(address, slot).map(Answer::Slot),
            Question::BlockHash(number) => database.block_hash(number).map(Answer::BlockHash),
        });
        match answered {
            // The worker is waiting for it, unless it panicked.
            Ok(answer) => drop(reply.send(answer)),
            Err(payload) => panicked = Some(payload),
        }
    }
    if let Some(payload) = panicked {
        payload.resume();
    }
}

impl<E> fmt::Debug for Asking<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

impl<E: core::error::Error + Send + Sync + 'static> StateSource for Served<E> {
    type State = Asking<E>;

    fn open(&self, _: WorkerId) -> Result<Asking<E>, ServedError<E>> {
        Ok(Asking { requests: self.requests.clone() })
    }

    /// Always false: one thread answers.
    fn reads_overlap(&self) -> bool {
        false
    }
}

impl<E> Asking<E> {
    fn ask(&self, question: Question) -> Result<Answer, ServedError<E>> {
        // Only the request holds the sender: if it is dropped unanswered, the wait ends.
        let (reply, replies) = bounded(1);
        let asked = self.requests.send(Request { question, reply });
        asked.map_err(|_| ServedError::Gone)?;
        match replies.recv() {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(ServedError::Base(error)),
            Err(_) => Err(ServedError::Gone),
        }
    }
}

impl<E: core::error::Error + Send + Sync + 'static> DatabaseRef for Asking<E> {
    type Error = ServedError<E>;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ServedError<E>> {
        match self.ask(Question::Account(address))? {
            Answer::Account(info) => Ok(info),
            _ => Err(ServedError::Gone),
        }
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, ServedError<E>> {
        match self.ask(Question::Code(hash))? {
            Answer::Code(code) => Ok(code),
            _ => Err(ServedError::Gone),
        }
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ServedError<E>> {
        match self.ask(Question::Slot(address, slot))? {
            Answer::Slot(value) => Ok(value),
            _ => Err(ServedError::Gone),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ServedError<E>> {
        match self.ask(Question::BlockHash(number))? {
            Answer::BlockHash(hash) => Ok(hash),
            _ => Err(ServedError::Gone),
        }
    }
}
