//! A chain in memory, driven by bytes: blocks, blocks with a wrong state root, kills in the middle of
//! writes, unwinding, pruning and reopening. It is compared with a plain model: the states of
//! sequential revm, and the sets of blocks whose undo records and receipts are kept.

mod kills;
#[path = "../../../../crates/chain/tests/support/reference.rs"]
#[allow(dead_code, reason = "a file of the chain's tests, of which this target uses a part")]
mod reference;
#[path = "../../../../crates/chain/tests/support/stream.rs"]
#[allow(dead_code, reason = "a file of the chain's tests, of which this target uses a part")]
mod stream;

use super::reached;
use alloy_primitives::B256;
use arbitrary::{Result as Drawn, Unstructured};
use braid_blocks::compare;
use braid_chain::{
    Chain, ChainBlock, ChainConfig, MemoryStore, StateRoots, create, open, prune, verify,
};
use braid_evm::Config;
use kills::{Kill, Killed};
use reference::{Reference, contents, same};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};
use std::num::{NonZeroU16, NonZeroUsize};
use std::rc::Rc;
use stream::Stream;

/// Number of blocks in a stream.
const BLOCKS: u64 = 6;
/// Number of streams.
const STREAMS: u8 = 64;
/// Maximum number of acts.
const LONGEST: usize = 40;

type Checked = Result<(), String>;

/// Blocks, with the state root before the first one and after each.
struct Rooted {
    stream: Stream,
    roots: Vec<B256>,
}

thread_local! {
    static STREAMS_MADE: RefCell<BTreeMap<u8, Rc<Rooted>>> = const { RefCell::new(BTreeMap::new()) };
}

fn stream_of(seed: u8) -> Rc<Rooted> {
    let make = || {
        let stream = Stream::new(seed.into(), BLOCKS);
        let roots = stream.states.iter().map(Reference::root).collect();
        Rc::new(Rooted { stream, roots })
    };
    STREAMS_MADE.with_borrow_mut(|made| Rc::clone(made.entry(seed).or_insert_with(make)))
}

/// What is done to the chain.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Executes the next block, on top of blocks that may not be written yet.
    Execute,
    /// Executes the next block with another state root than its own.
    Wrong,
    /// Waits until all blocks are written.
    Flush,
    /// Unwinds this many blocks.
    Unwind(u64),
    /// Closes the chain, and prunes undo records and receipts.
    Prune(u64, Option<u64>),
    /// Closes the chain and opens it again.
    Reopen,
    /// Lets a later write fail, as a killed process would end there.
    Kill(Kill),
}

impl Act {
    fn draw(bytes: &mut Unstructured<'_>) -> Drawn<Self> {
        Ok(match bytes.int_in_range(0..=15_u8)? {
            0..=6 => Self::Execute,
            7 => Self::Wrong,
            8 => Self::Flush,
            9 | 10 => Self::Unwind(bytes.int_in_range(0..=4)?),
            11 | 12 => {
                let undo = bytes.int_in_range(0..=4)?;
                let receipts = bytes.int_in_range(0..=4)?;
                Self::Prune(undo, u64::checked_sub(receipts, 1))
            }
            13 => Self::Reopen,
            _ => {
                Self::Kill(Kill { after: bytes.int_in_range(0..=3)?, is_late: bytes.arbitrary()? })
            }
        })
    }
}

pub(super) fn check(bytes: &[u8]) -> Checked {
    let mut bytes = Unstructured::new(bytes);
    let stream = stream_of(bytes.int_in_range(0..=STREAMS - 1).unwrap_or_default());
    let mut subject = Subject::new(&stream, &mut bytes)?;
    let mut acts = Vec::new();
    while acts.len() < LONGEST && !bytes.is_empty() {
        let Ok(act) = Act::draw(&mut bytes) else { break };
        acts.push(act);
        let done = subject.act(act, &mut bytes).and_then(|()| subject.compare());
        done.map_err(|wrong| format!("{wrong}\n{acts:#?}\n{:?}", subject.config.keep))?;
    }
    subject
        .reopen(None)
        .and_then(|()| subject.compare())
        .map_err(|wrong| format!("{wrong}\n{acts:#?}"))
}

/// The chain, and the model that it is compared with.
struct Subject<'s> {
    rooted: &'s Rooted,
    store: MemoryStore,
    roots: StateRoots,
    config: ChainConfig,
    killed: Killed,
    /// `None` only while it is opened again.
    chain: Option<Chain<Killed>>,
    /// Number of executed blocks, of which the last ones may not be written yet.
    executed: u64,
    /// What the store keeps once all blocks are written.
    kept: Kept,
    /// The same after each block, in case that later ones are lost.
    kept_at: BTreeMap<u64, Kept>,
}

/// Blocks whose undo records and receipts are kept.
#[derive(Clone, Debug, Default)]
struct Kept {
    undo: BTreeSet<u64>,
    receipts: BTreeSet<u64>,
}

impl Kept {
    /// Forgets the blocks above `head`, which were unwound.
    fn unwind_to(&mut self, head: u64) {
        self.undo.retain(|number| *number <= head);
        self.receipts.retain(|number| *number <= head);
    }
}

impl<'s> Subject<'s> {
    fn new(rooted: &'s Rooted, bytes: &mut Unstructured<'_>) -> Result<Self, String> {
        let store = MemoryStore::new();
        let roots = match bytes.ratio(3, 4).unwrap_or(true) {
            true => StateRoots::Computed,
            false => StateRoots::Disabled,
        };
        let batch = rooted.stream.states[0].batch(rooted.stream.head);
        create(&store, b"{}", &batch, roots).map_err(text)?;
        let mut subject = Self {
            rooted,
            killed: Killed::new(store.clone(), None),
            store,
            roots,
            config: ChainConfig::default(),
            chain: None,
            executed: 0,
            kept: Kept::default(),
            kept_at: BTreeMap::new(),
        };
        subject.configure(bytes);
        subject.note();
        subject.open(None)?;
        Ok(subject)
    }

    /// Draws what the next chain keeps, and how many workers it has.
    fn configure(&mut self, bytes: &mut Unstructured<'_>) {
        let mut pick = |of: &[u64]| bytes.choose(of).copied().unwrap_or(of[0]);
        let workers = NonZeroU16::new(pick(&[1, 1, 1, 2]) as u16);
        self.config.executor = Config::with_workers(workers.unwrap_or(NonZeroU16::MIN));
        let keep = &mut self.config.keep;
        keep.undo_blocks = pick(&[128, 2, 1, 0]);
        keep.receipt_blocks = pick(&[128, 2, 0]);
        keep.node_cache = pick(&[1 << 20, 3_000, 0]);
        // Follows from another choice, so that the bytes of the corpus keep their meaning.
        keep.node_flush_blocks = if keep.node_cache == 3_000 { 2 } else { 16 };
        keep.root_threads = NonZeroUsize::MIN;
    }

    fn open(&mut self, kill: Option<Kill>) -> Checked {
        self.killed = Killed::new(self.store.clone(), kill);
        self.chain = Some(Chain::open(self.killed.clone(), self.config).map_err(text)?);
        Ok(())
    }

    fn chain(&mut self) -> Result<&mut Chain<Killed>, String> {
        self.chain.as_mut().ok_or_else(|| "no chain".to_owned())
    }

    /// Closes the chain, which waits for its writer, and opens it again.
    fn reopen(&mut self, kill: Option<Kill>) -> Checked {
        self.chain = None;
        // Blocks that were not written are executed again.
        let durable = open(&self.store).map_err(text)?.head().number - self.first();
        let (executed, is_killed) = (self.executed, self.killed.strikes() > 0);
        if durable > executed || (durable < executed && !is_killed) {
            return Err(format!("{durable} of {executed} blocks are written"));
        }
        if is_killed {
            reached::note("chain, a kill");
            self.executed = durable;
            self.kept = self.kept_at.get(&self.head()).cloned().unwrap_or_default();
        }
        self.open(kill)
    }

    /// Number of the block before the first one.
    fn first(&self) -> u64 {
        self.rooted.stream.head.number
    }

    /// Number of the last executed block.
    fn head(&self) -> u64 {
        self.first() + self.executed
    }

    /// Remembers what is kept after the last executed block.
    fn note(&mut self) {
        self.kept_at.insert(self.head(), self.kept.clone());
    }

    fn act(&mut self, act: Act, bytes: &mut Unstructured<'_>) -> Checked {
        reached::note(&format!(
            "chain, {}",
            format!("{act:?}").split('(').next().unwrap_or_default()
        ));
        let done = match act {
            Act::Execute => self.execute(false),
            Act::Wrong => self.execute(true),
            Act::Flush => self.chain()?.flush().map(drop).map_err(text),
            Act::Unwind(blocks) => self.unwind(blocks),
            Act::Prune(undo, receipts) => {
                self.reopen(None)?;
                self.chain = None;
                prune(&self.store, undo, receipts).map_err(text)?;
                let head = self.head();
                let first = |blocks: u64| head.saturating_sub(blocks) + 1;
                let first_receipts = receipts.map_or(0, first);
                self.kept.undo.retain(|number| *number >= first(undo));
                self.kept.receipts.retain(|number| *number >= first_receipts);
                self.note();
                self.open(None)
            }
            Act::Reopen => {
                self.configure(bytes);
                self.reopen(None)
            }
            Act::Kill(kill) => self.reopen(Some(kill)),
        };
        match done {
            Err(_) if self.killed.strikes() > 0 => self.reopen(None),
            done => done,
        }
    }

    /// Executes the next block. With a wrong root, it must not be written.
    fn execute(&mut self, is_wrong: bool) -> Checked {
        let (rooted, index) = (self.rooted, self.executed as usize);
        let Some((block, hash)) = rooted.stream.blocks.get(index).cloned() else { return Ok(()) };
        let is_wrong = is_wrong && self.roots == StateRoots::Computed;
        let mut block = ChainBlock { block, hash, ..ChainBlock::default() };
        let root = if is_wrong { B256::ZERO } else { rooted.roots[index + 1] };
        block.expected.state_root = Some(root);
        if is_wrong {
            self.chain()?.flush().map_err(text)?;
        }
        let number = self.head() + 1;
        let executed = self.chain()?.execute(block).map_err(text)?;
        let mut output = executed.output;
        output.bundle = executed.changes.changes.clone();
        let differences = compare::braid::outputs(&rooted.stream.outputs[index], &output);
        if !differences.is_empty() {
            return Err(format!("block {number}: {:?}", differences.lines()));
        }
        if is_wrong {
            if self.chain()?.flush().is_ok() {
                return Err(format!("block {number} was written with a wrong state root"));
            }
            return self.reopen(None);
        }
        self.executed += 1;
        let (keep, kept) = (self.config.keep, &mut self.kept);
        if keep.undo_blocks > 0 {
            kept.undo.insert(number);
        }
        keep_last(&mut kept.undo, number, keep.undo_blocks.max(1));
        if keep.receipt_blocks > 0 {
            kept.receipts.insert(number);
            keep_last(&mut kept.receipts, number, keep.receipt_blocks);
        }
        self.note();
        Ok(())
    }

    fn unwind(&mut self, blocks: u64) -> Checked {
        let (head, executed) = (self.head(), self.executed);
        self.chain()?.flush().map_err(text)?;
        let is_possible = (0..blocks).all(|back| self.kept.undo.contains(&(head - back)));
        if is_possible {
            // A kill may leave some of the blocks.
            for back in 1..=blocks {
                let mut kept = self.kept.clone();
                kept.unwind_to(head - back);
                self.kept_at.insert(head - back, kept);
            }
        }
        match self.chain()?.unwind(blocks) {
            Ok(_) if !is_possible => return Err(format!("{blocks} blocks were unwound")),
            Err(_) if !is_possible && self.killed.strikes() == 0 => return Ok(()),
            Err(error) => return Err(error.to_string()),
            Ok(_) => {}
        }
        self.executed = executed - blocks;
        self.kept.unwind_to(head - blocks);
        Ok(())
    }

    /// Compares the chain's state, and the store if all blocks are written.
    fn compare(&mut self) -> Checked {
        let (rooted, executed, head) = (self.rooted, self.executed, self.head());
        let state = self.chain()?.state().map_err(text)?;
        same(&state, &rooted.stream.states[executed as usize]);
        equal("head", self.chain()?.head().number, head)?;
        let reader = open(&self.store).map_err(text)?;
        let durable = reader.head().number;
        let index = (durable - self.first()) as usize;
        let state = rooted.stream.states.get(index).ok_or("blocks that were not executed")?;
        if contents(&reader) != state.contents() {
            return Err(format!("another state after block {durable}"));
        }
        let verified = verify(&reader).map_err(text)?;
        equal("root", verified.state_root, rooted.roots[index])?;
        for (number, output) in (self.first() + 1..=durable).zip(&rooted.stream.outputs) {
            if let Some(receipts) = reader.receipts(number).map_err(text)? {
                equal("receipts of a block", &receipts, &output.receipts)?;
            }
        }
        if durable == head {
            equal("undo records", verified.undo_blocks, self.kept.undo.len() as u64)?;
            equal("receipts", verified.receipt_blocks, self.kept.receipts.len() as u64)?;
        }
        Ok(())
    }
}

/// Removes the block `blocks` before `number`, and all blocks directly before it.
fn keep_last(kept: &mut BTreeSet<u64>, number: u64, blocks: u64) {
    let mut old = number.checked_sub(blocks);
    while let Some(number) = old.filter(|number| kept.remove(number)) {
        old = number.checked_sub(1);
    }
}

fn equal<T: PartialEq + Debug>(what: &str, found: T, right: T) -> Checked {
    if found == right { Ok(()) } else { Err(format!("{what}: {found:?} instead of {right:?}")) }
}

fn text(error: impl Display) -> String {
    error.to_string()
}
