//! A state source that serves a single-threaded database to all workers.

use crate::evm::{Block, StateSource};
use crate::ids::WorkerId;
use crate::panics::{Payload, caught};
use crate::runtime::Threads;
use crate::sync::{Mutex, Receiver, Sender, TryRecvError, bounded};
use crate::worker::Context;
use alloy_primitives::map::HashMap;
use alloy_primitives::{Address, B256, U256};
use core::fmt;
use revm::DatabaseRef;
use revm::context::{DBErrorMarker, TxEnv};
use revm::state::{AccountInfo, Bytecode};
use std::sync::Arc;

/// Error of a worker's read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServedError<E> {
    /// The database failed.
    #[error(transparent)]
    Base(E),
    /// The thread of the database panicked, or no longer serves this block.
    #[error("the thread of the database is gone")]
    Gone,
}

impl<E: core::error::Error + Send + Sync + 'static> DBErrorMarker for ServedError<E> {}

/// A read of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Account(Address),
    Code(B256),
    Slot(Address, U256),
    BlockHash(u64),
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Account(Option<AccountInfo>),
    Code(Bytecode),
    Slot(U256),
    BlockHash(B256),
}

pub(super) type Reply<E> = Result<Answer, ServedError<E>>;

/// A message to the thread of the database.
pub(super) enum Message<E, T> {
    /// A question with its reply channel.
    Read(Question, Sender<Reply<E>>),
    /// The block has ended.
    Done(T),
}

/// Number of shards of the answers, each with its own lock.
const SHARDS: usize = 16;

/// Cache of all answers, shared by the workers: each value is requested once.
#[derive(Default)]
pub(super) struct Answers([Mutex<HashMap<Question, Answer>>; SHARDS]);

impl Answers {
    fn shard(&self, question: &Question) -> &Mutex<HashMap<Question, Answer>> {
        let last = |address: &Address| {
            let [.., last] = address.into_array();
            last
        };
        let byte = match question {
            Question::Account(address) => last(address),
            Question::Code(hash) => hash.0.last().copied().unwrap_or_default(),
            Question::Slot(address, slot) => last(address).wrapping_add(slot.byte(0)),
            Question::BlockHash(_) => 0,
        };
        let [first, others @ ..] = &self.0;
        others.get(usize::from(byte) % SHARDS).unwrap_or(first)
    }

    fn get(&self, question: &Question) -> Option<Answer> {
        self.shard(question).lock().get(question).cloned()
    }

    fn add(&self, question: Question, answer: Answer) {
        self.shard(&question).lock().insert(question, answer);
    }
}

/// A state source whose handles send their reads to the database's thread.
pub(super) struct Served<E, T> {
    messages: Sender<Message<E, T>>,
    answers: Arc<Answers>,
    threads: Threads,
}

/// The database handle of one worker.
pub(super) struct ServedHandle<E, T> {
    messages: Sender<Message<E, T>>,
    answers: Arc<Answers>,
    threads: Threads,
}

/// The side of the database's thread, which answers questions.
pub(super) struct ReadServer<E, T> {
    messages: Receiver<Message<E, T>>,
    answers: Arc<Answers>,
    threads: Threads,
}

/// Creates a source for `workers` workers, and the database's side.
pub(super) fn served<E, T>(workers: usize) -> (Served<E, T>, ReadServer<E, T>) {
    // Room for one question per worker and the end of the block, so that no sender waits.
    let (messages, inbox) = bounded(workers.saturating_add(1));
    let answers = Arc::<Answers>::default();
    let threads = Threads::for_workers(workers + 1);
    let served = Served { messages, answers: Arc::clone(&answers), threads };
    (served, ReadServer { messages: inbox, answers, threads })
}

impl<E, T> Served<E, T> {
    /// Returns a sender, for the end of the block.
    pub(super) fn messages(&self) -> Sender<Message<E, T>> {
        self.messages.clone()
    }
}

impl<E, T> ReadServer<E, T> {
    /// Answers questions from `database` until the block has ended. While there are none, reads the
    /// state that `block` names in advance. Returns the end of the block, unless it was lost, and
    /// the payload of a panic in `database`. After a panic, all questions fail.
    pub(super) fn serve<D: revm::Database<Error = E>>(
        self,
        database: &mut D,
        block: &Block,
    ) -> (Option<T>, Option<Payload>) {
        let mut prefetch = named_state(block);
        let mut panicked = None;
        loop {
            let message = match self.messages.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => return (None, panicked),
                Err(TryRecvError::Empty) => {
                    if panicked.is_none()
                        && let Some(question) = prefetch.next()
                    {
                        self.prefetch(database, question);
                        continue;
                    }
                    match self.threads.recv(&self.messages) {
                        Some(message) => message,
                        None => return (None, panicked),
                    }
                }
            };
            match message {
                Message::Done(done) => return (Some(done), panicked),
                Message::Read(question, reply) => {
                    let answered = match panicked {
                        None => caught(|| self.answer(database, question)),
                        Some(_) => Ok(Err(ServedError::Gone)),
                    };
                    let answer = answered.unwrap_or_else(|payload| {
                        panicked = Some(payload);
                        Err(ServedError::Gone)
                    });
                    // The worker waits for the answer, unless it has panicked.
                    drop(reply.send(answer));
                }
            }
        }
    }

    /// Answers `question`, from `database` unless it was answered before.
    fn answer<D: revm::Database<Error = E>>(
        &self,
        database: &mut D,
        question: Question,
    ) -> Reply<E> {
        if let Some(answer) = self.answers.get(&question) {
            return Ok(answer);
        }
        let answer = match question {
            Question::Account(address) => database.basic(address).map(Answer::Account),
            Question::Code(hash) => database.code_by_hash(hash).map(Answer::Code),
            Question::Slot(address, slot) => database.storage(address, slot).map(Answer::Slot),
            Question::BlockHash(number) => database.block_hash(number).map(Answer::BlockHash),
        };
        let answer = answer.map_err(ServedError::Base)?;
        self.answers.add(question, answer.clone());
        Ok(answer)
    }

    /// Reads the answer to `question` in advance, and the code of an account. Errors and panics are
    /// ignored: they recur if a transaction needs the value.
    fn prefetch<D: revm::Database<Error = E>>(&self, database: &mut D, question: Question) {
        // A slot stays in the database's cache. If it were read before its account is created, a
        // later block would see the slot that the creation clears.
        if let Question::Slot(address, _) = question
            && !self.has_code(address)
        {
            return;
        }
        let _ = caught(|| {
            let answer = self.answer(database, question)?;
            if let Answer::Account(Some(info)) = answer
                && info.code.is_none()
                && !(info.is_empty_code_hash() || info.code_hash.is_zero())
            {
                self.answer(database, Question::Code(info.code_hash))?;
            }
            Ok::<_, ServedError<E>>(())
        });
    }

    /// Returns whether the account at `address` was read and is a contract.
    fn has_code(&self, address: Address) -> bool {
        let answer = self.answers.get(&Question::Account(address));
        matches!(answer, Some(Answer::Account(Some(info))) if !info.is_empty_code_hash())
    }
}

/// Iterates over the state that `block` names: its beneficiary, what its transactions name, and what
/// its access list names besides.
fn named_state(block: &Block) -> impl Iterator<Item = Question> + '_ {
    let listed = block.access_list.iter().flat_map(|list| list.iter()).flat_map(|account| {
        let changed = account.storage_changes.iter().map(|change| change.slot);
        let slots = changed.chain(account.storage_reads.iter().copied());
        state_of(account.address, slots)
    });
    core::iter::once(Question::Account(block.env.beneficiary))
        .chain(block.transactions.iter().flat_map(state_named_by))
        .chain(listed)
}

/// Iterates over the state that `tx` names: its sender, its callee, and its access list.
fn state_named_by(tx: &TxEnv) -> impl Iterator<Item = Question> + '_ {
    let accounts = [Some(tx.caller), tx.kind.to().copied()].into_iter().flatten();
    let listed = tx.access_list.iter().flat_map(|item| {
        let slots = item.storage_keys.iter().map(|slot| U256::from_be_bytes(slot.0));
        state_of(item.address, slots)
    });
    accounts.map(Question::Account).chain(listed)
}

/// Iterates over an account and its `slots`.
fn state_of(address: Address, slots: impl Iterator<Item = U256>) -> impl Iterator<Item = Question> {
    let slots = slots.map(move |slot| Question::Slot(address, slot));
    core::iter::once(Question::Account(address)).chain(slots)
}

impl<E, T> fmt::Debug for ServedHandle<E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedHandle").finish_non_exhaustive()
    }
}

impl<E, T> StateSource for Served<E, T>
where
    E: core::error::Error + Send + Sync + 'static,
    T: Send,
{
    type State = ServedHandle<E, T>;

    fn open(&self, _: WorkerId) -> Result<ServedHandle<E, T>, ServedError<E>> {
        Ok(ServedHandle {
            messages: self.messages.clone(),
            answers: Arc::clone(&self.answers),
            threads: self.threads,
        })
    }

    /// Returns false, because one thread answers all reads.
    fn reads_overlap(&self) -> bool {
        false
    }
}

impl<E, T> ServedHandle<E, T> {
    fn ask(&self, question: Question) -> Reply<E> {
        if let Some(answer) = self.answers.get(&question) {
            return Ok(answer);
        }
        // Only the message holds the sender, so the wait ends if the message is dropped.
        let (reply, replies) = bounded(1);
        let asked = self.messages.send(Message::Read(question, reply));
        asked.map_err(|_| ServedError::Gone)?;
        self.threads.recv(&replies).unwrap_or(Err(ServedError::Gone))
    }
}

impl<E, T> DatabaseRef for ServedHandle<E, T>
where
    E: core::error::Error + Send + Sync + 'static,
{
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eip7928::{AccountChanges, SlotChanges};
    use alloy_primitives::TxKind;
    use revm::context_interface::transaction::{AccessList, AccessListItem};

    #[test]
    fn a_block_names_state_in_the_order_of_its_need() {
        let [beneficiary, sender, callee, warm, listed] =
            [1, 2, 3, 4, 5].map(Address::with_last_byte);
        let item = AccessListItem { address: warm, storage_keys: vec![B256::with_last_byte(7)] };
        let tx = TxEnv {
            caller: sender,
            kind: TxKind::Call(callee),
            access_list: AccessList(vec![item]),
            ..TxEnv::default()
        };
        let mut changes = AccountChanges::new(listed);
        changes.storage_changes.push(SlotChanges::new(U256::from(8), Vec::new()));
        changes.storage_reads.push(U256::from(9));
        let mut block = Block { transactions: vec![tx], ..Block::default() };
        block.env.beneficiary = beneficiary;
        block.access_list = Some(Arc::new([changes].into_iter().collect()));
        let expected = [
            Question::Account(beneficiary),
            Question::Account(sender),
            Question::Account(callee),
            Question::Account(warm),
            Question::Slot(warm, U256::from(7)),
            Question::Account(listed),
            Question::Slot(listed, U256::from(8)),
            Question::Slot(listed, U256::from(9)),
        ];
        assert_eq!(named_state(&block).collect::<Vec<_>>(), expected);
    }
}
