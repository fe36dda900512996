//! `braid chain run`: executes blocks on a chain.

use super::{
    End, Stop, message, open,
    pace::{Pace, Tally},
};
use crate::chain_input::{Ahead, InputBlock, Inputs, SizedBlock};
use crate::commands::run::PolicyArg;
use braid_chain::{
    Chain, ChainConfig, ChainError, EmbeddedStore, Head, Keep, Rules, StoreError, genesis,
    open as open_chain,
};
use braid_evm::BlockErrorKind;
use clap::Args;
use serde_json::json;
use std::{
    io::{self, Write},
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid chain run chain/ blocks.rlp           blocks as geth export writes them
  braid chain run chain/ blocks/              every block file in a folder, by name
  geth export /dev/stdout 1 1000 | braid chain run chain/ -
  braid chain run --workers 4 --json chain/ blocks.rlp.gz | jq .transactions_per_second

Blocks that the chain has already are passed over: only their hashes are compared. So the
same command goes on after a crash.

Exit code: 0 if all blocks are durable; 1 if a block is not what its header says;
2 if an input or the folder cannot be used, or a block is invalid. Whatever the code,
the blocks before the one that is named are durable.";

/// Execute blocks on a chain
///
/// Each block is executed on the state after the one before and compared with its header: gas used,
/// receipts root, logs bloom and requests hash, and the state root unless the chain was created without.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// RLP as geth exports it, block files, folders of block files, or - for standard input; gzip
    /// and zstd are unpacked
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// Workers that execute transactions [default: one for each core]
    #[arg(long, value_name = "N", value_parser = crate::commands::workers_from)]
    workers: Option<NonZeroU16>,
    /// How eagerly to speculate; results never depend on it
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyArg,
    /// Blocks that can be unwound, counted from the last one
    #[arg(long, value_name = "N", default_value_t = Keep::default().undo_blocks)]
    undo_blocks: u64,
    /// Keep the receipts of the last N blocks, for `inspect`; without it those that are there stay, and
    /// none are added
    #[arg(long, value_name = "N", default_value_t = 0)]
    receipts: u64,
    /// Memory for the store's read cache, in MiB
    #[arg(long, value_name = "MIB", default_value_t = braid_chain::CACHE_BYTES / super::MIB)]
    cache: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RunArgs) -> Result<End, Stop> {
    let (_folder, store) = open(&args.folder, Some(args.cache))?;
    let reader = open_chain(&store).map_err(message)?;
    let genesis = reader.genesis().and_then(|bytes| genesis::decode(&bytes)).map_err(message)?;
    let head = reader.head();
    drop(reader);
    let mut config = ChainConfig::default();
    config.executor.workers = args.workers.unwrap_or(config.executor.workers);
    let rules = Rules::new(genesis.config);
    let threads = NonZeroUsize::from(config.executor.workers);
    let inputs = Inputs::new(&args.inputs, rules, head.number, threads).map_err(message)?;
    config.executor.policy = args.policy.policy();
    config.keep = Keep::blocks(args.undo_blocks);
    config.keep.receipt_blocks = args.receipts;
    let chain = Chain::open(store, config).map_err(message)?;
    let mut pace = Pace::new(inputs.bytes());
    let mut import = Import { chain, first: None, passed_over: 0 };
    let inputs = Ahead::new(inputs).map_err(message)?;
    let mut ended = import.all(inputs, &mut pace);
    let durable = import.chain.flush();
    let tally = pace.end();
    match &durable {
        Ok(head) => import.report(args, *head, &tally)?,
        // If the run ended by the same error, that is the one to be told.
        Err(error) if ended.is_ok() => ended = Err(Refusal::new(String::new(), error)),
        Err(_) => {}
    }
    match ended {
        Ok(()) => Ok(End::Right),
        Err(refusal) => refusal.end(import.chain.durable()),
    }
}

/// How the command ends by this error: a block that is not what its header says is a mismatch.
const fn end_of(error: &ChainError) -> End {
    match error {
        ChainError::Header { .. }
        | ChainError::Writer { error: StoreError::StateRoot { .. }, .. } => End::Mismatch,
        _ => End::BadInput,
    }
}

struct Import {
    chain: Chain<EmbeddedStore>,
    /// Number of the first executed block.
    first: Option<u64>,
    /// Blocks of the input that the chain had already.
    passed_over: u64,
}

/// Why the import ended before the last block.
struct Refusal {
    file: String,
    why: String,
    end: End,
    cause: Cause,
}

/// What has to be put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The blocks that were given.
    Input,
    /// The disk.
    Disk,
    /// Braid, whose writer has panicked.
    Panic,
    /// Braid.
    Bug,
    /// The error says what to do.
    Stated,
}

impl Cause {
    const fn of(error: &ChainError) -> Self {
        match error {
            ChainError::Writer { error: StoreError::StateRoot { .. }, .. } => Self::Input,
            ChainError::Writer { error, .. }
            | ChainError::Store(error)
            | ChainError::Block { kind: BlockErrorKind::Base(error), .. } => match error {
                StoreError::Backend(_) => Self::Disk,
                _ => Self::Stated,
            },
            ChainError::WriterEnded { .. } => Self::Panic,
            ChainError::Block { kind: BlockErrorKind::Internal(_), .. } => Self::Bug,
            ChainError::Thread(_) => Self::Stated,
            _ => Self::Input,
        }
    }

    /// What to do, after the number of the last durable block.
    const fn advice(self) -> &'static str {
        match self {
            Self::Input => {
                "; correct the input and run the same command again, which goes on after that block"
            }
            Self::Disk => {
                "; free space or check the disk, and run the same command again, which goes on \
                 after that block"
            }
            Self::Panic => "; this is a bug in Braid: report the panic above",
            Self::Bug => "; this is a bug in Braid: report this error",
            Self::Stated => "",
        }
    }
}

impl Import {
    fn all(&mut self, inputs: Ahead, pace: &mut Pace) -> Result<(), Refusal> {
        for input in inputs {
            let unusable = |error: crate::chain_input::InputError| Refusal {
                file: String::new(),
                why: error.to_string(),
                end: End::BadInput,
                cause: Cause::Input,
            };
            self.one(input.map_err(unusable)?, pace)?;
        }
        Ok(())
    }

    fn one(&mut self, input: SizedBlock, pace: &mut Pace) -> Result<(), Refusal> {
        let SizedBlock { block, file, read } = input;
        let refused = |error| Refusal::new(file.clone(), &error);
        let block = match block {
            InputBlock::Old(old) => {
                self.pass_over(old, &file)?;
                pace.passed_over(old.number, read);
                return Ok(());
            }
            InputBlock::New(block) => *block,
        };
        let number = block.block.env.number.saturating_to::<u64>();
        if number <= self.chain.head().number {
            // An earlier input had it.
            return self.pass_over(Head { number, hash: block.hash }, &file);
        }
        let executed = self.chain.execute(block).map_err(refused)?;
        self.first.get_or_insert(number);
        pace.block(number, &executed.output, read);
        Ok(())
    }

    /// Counts a block that the chain has, if it is the same one.
    fn pass_over(&mut self, old: Head, file: &str) -> Result<(), Refusal> {
        let Head { number, hash } = old;
        let known = self.known(number).map_err(|error| Refusal::new(file.to_owned(), &error))?;
        if let Some(known) = known.filter(|known| *known != hash) {
            let why = format!(
                "block {number} has the hash {hash}, the chain's block {number} is {known}: the \
                 input is of another chain"
            );
            let (file, end, cause) = (file.to_owned(), End::BadInput, Cause::Input);
            return Err(Refusal { file, why, end, cause });
        }
        self.passed_over = self.passed_over.saturating_add(1);
        Ok(())
    }

    /// Hash of a block of this chain, if the store has it.
    fn known(&self, number: u64) -> Result<Option<alloy_primitives::B256>, ChainError> {
        use revm::DatabaseRef;
        let hash = self.chain.state()?.block_hash_ref(number)?;
        Ok((!hash.is_zero()).then_some(hash))
    }

    fn report(&self, args: &RunArgs, head: Head, tally: &Tally) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if args.json {
            let report = json!({
                "first": self.first,
                "blocks": tally.blocks,
                "passed_over": self.passed_over,
                "transactions": tally.transactions,
                "gas": tally.gas,
                "seconds": tally.seconds,
                "blocks_per_second": tally.per_second(tally.blocks),
                "transactions_per_second": tally.per_second(tally.transactions),
                "mgas_per_second": tally.per_second(tally.gas) / 1e6,
                "head": {"number": head.number, "hash": head.hash},
            });
            return writeln!(out, "{report}");
        }
        if self.passed_over > 0 {
            writeln!(out, "{} blocks were in the chain already", self.passed_over)?;
        }
        if let Some(first) = self.first {
            writeln!(out, "blocks {first} to {}: {tally}", head.number)?;
        }
        writeln!(out, "head {} {}, durable", head.number, head.hash)
    }
}

impl Refusal {
    fn new(file: String, error: &ChainError) -> Self {
        let cause = Cause::of(error);
        // The input is not to blame for a block that the writer names: it is an earlier one.
        let is_earlier = matches!(error, ChainError::Writer { .. });
        let file = if cause == Cause::Input && !is_earlier { file } else { String::new() };
        Self { file, why: error.to_string(), end: end_of(error), cause }
    }

    fn text(&self, durable: u64) -> String {
        let Self { file, why, cause, .. } = self;
        let place = if file.is_empty() { why.clone() } else { format!("{file}: {why}") };
        format!("{place}\nblocks up to {durable} are durable{}", cause.advice())
    }

    fn end(self, durable: Head) -> Result<End, Stop> {
        let text = self.text(durable.number);
        match self.end {
            End::Mismatch => {
                crate::commands::print_error(&text);
                Ok(End::Mismatch)
            }
            _ => Err(Stop::Message(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use braid_evm::At;

    #[test]
    fn what_failed_is_blamed_and_not_the_input() {
        let disk = || StoreError::backend(io::Error::other("no space left"));
        let damaged = || StoreError::Damaged { what: "the head".to_owned() };
        let (stated, found) = (B256::ZERO, B256::ZERO);
        let base = |error| {
            let kind = BlockErrorKind::Base(error);
            ChainError::Block { number: 7, at: At::PreBlock, kind }
        };
        let written = |error| ChainError::Writer { number: 7, error };
        let (input, disk_is, stated_is) = (Cause::Input, Cause::Disk, Cause::Stated);
        for (error, cause) in [
            (base(disk()), disk_is),
            (base(damaged()), stated_is),
            (written(disk()), disk_is),
            (written(damaged()), stated_is),
            (written(StoreError::StateRoot { stated, found }), input),
            (ChainError::Store(disk()), disk_is),
            (ChainError::WriterEnded { number: 7 }, Cause::Panic),
            (ChainError::Number { number: 7, head: 3 }, input),
        ] {
            let refusal = Refusal::new("blocks.rlp".to_owned(), &error);
            assert_eq!(refusal.cause, cause, "{error:?}");
            let text = refusal.text(3);
            let is_read = matches!(error, ChainError::Number { .. });
            assert_eq!(text.starts_with("blocks.rlp: "), is_read, "{text}");
            let end = format!("\nblocks up to 3 are durable{}", cause.advice());
            assert!(text.ends_with(&end), "{text}");
        }
    }
}
