//! `braid report`: what limits a block, as an HTML page.

use super::{
    explain::{Explained, QuestionArgs, Unusable, block_line, explain_file, measure, whole},
    json::{write_error, write_line},
    names::Known,
};
use crate::{
    explain::{Graph, Question, WORKERS, WhatIf},
    inputs,
    page::{self, BlockPage, Timeline},
};
use braid_blocks::block_file::{BlockFile, STANDARD_STREAM, missing_folder};
use braid_evm::{Config, Executor};
use braid_terminal::{End, Progress, Stop, print_error};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Write},
    num::NonZeroU16,
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  braid report                                    the generated demo chain, into report.html
  braid report block.json.zst --out block.html    one block
  braid fetch --rpc URL --block 12345678 --out - | braid report -
  braid report blocks/                            every block file in a folder, on one page
  braid report --by time block.json               by time as measured here, not by gas
  braid report --rounds 0 block.json              no clock: the same page on every machine
  braid report --trace trace.json block.json      the timeline for https://ui.perfetto.dev, too
  braid report --json block.json | jq '.timeline.end'

Exit code: 0; 1 if a block's result differs from its header or file, or Braid's result from the
sequential one; 2 if a file cannot be used or a block is invalid.";

/// Default name of the page.
const PAGE: &str = "report.html";

/// Write a page that shows why a block does not run in parallel
///
/// Writes one HTML file that needs no network. It has the text of `braid explain`, a chart of the
/// speed-up by number of workers, a timeline of each worker, the graph of transactions that wait
/// for each other, a matrix of the contracts that wait for each other, and tables of locations and
/// transactions. Speed-ups are measured on up to one worker per core, and
/// simulated on 1 to 64; the timeline is that of the simulated workers.
/// docs/EXPLAIN.md describes the page. Without arguments, it draws a generated demo chain.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReportArgs {
    /// Block files (.json, .json.gz, .json.zst), folders of them, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// File for the page; - for standard output [default: report.html; none with --json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the timeline as trace events, for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    question: QuestionArgs,
    /// Print the data of the page, as one JSON object per line and block
    #[arg(long)]
    json: bool,
}

/// A block's data on the page: the fields of `braid explain --json`, and those of the drawings.
#[derive(Serialize)]
struct BlockData {
    #[serde(flatten)]
    explain: Value,
    #[serde(flatten)]
    page: BlockPage,
}

/// The executors that run the blocks.
struct Bench<'a> {
    args: &'a ReportArgs,
    question: Question,
    known: Known,
    /// An executor with one worker per core.
    executor: Executor,
    /// Executors with fewer workers.
    fewer: Vec<Executor>,
}

impl<'a> Bench<'a> {
    fn new(args: &'a ReportArgs) -> Result<Self, Stop> {
        let start = |config: Config| {
            Executor::new(config).map_err(|error| Stop::threads(config.workers, &error))
        };
        let config = Config::default();
        let cores = config.workers;
        let fewer = WORKERS.iter().filter_map(|&it| NonZeroU16::new(u16::try_from(it).ok()?));
        let fewer =
            fewer.filter(|it| it.get() > 1 && *it < cores && args.question.clock.rounds > 0);
        Ok(Self {
            args,
            question: args.question.question(&config)?,
            known: args.question.known()?,
            executor: start(config)?,
            fewer: fewer.map(|it| start(Config::with_workers(it))).collect::<Result<_, _>>()?,
        })
    }

    fn block(&mut self, input: inputs::Input) -> Result<(BlockData, Explained), Unusable> {
        let (name, args) = (input.name(), self.args.question.clock);
        let file = input.load()?;
        let question = &self.question;
        let mut explained =
            explain_file(args, (question, &mut self.known), &mut self.executor, name, &file)?;
        let mut measured = Vec::new();
        for executor in &mut self.fewer {
            match measure(args, executor, &explained.name, &file)? {
                Ok(reached) => measured.extend(reached.map(|it| (it.workers, it.speedup))),
                Err(difference) => {
                    explained.wrong.get_or_insert(difference);
                }
            }
        }
        measured.extend(explained.reached.as_ref().map(|it| (it.workers, it.speedup)));
        let simulated = simulated(&explained, &file, question);
        let page = BlockPage::new(
            &explained.recording,
            (&explained.explanation, question),
            words(&explained, question),
            &measured,
            simulated,
        );
        let explain = json!(block_line(&explained, question));
        Ok((BlockData { explain, page }, explained))
    }
}

/// Simulates the block, with costs on the axis by which conflicts are ordered.
fn simulated(
    explained: &Explained,
    file: &BlockFile,
    question: &Question,
) -> Option<page::Simulated> {
    let (block, database) = file.to_block().ok()?;
    let (axis, _) = explained.explanation.ordered_by(question.axis);
    let graph = Graph::new(&explained.recording, axis, &WhatIf::NOTHING);
    let mut workers = [&WORKERS[..], &[question.workers]].concat();
    workers.sort_unstable();
    workers.dedup();
    page::simulate((&block, &database), (&graph, axis), &workers, question.workers)
}

fn words(explained: &Explained, question: &Question) -> String {
    let mut words = Vec::new();
    // Writing into memory cannot fail.
    let _ = whole(&mut words, explained, question);
    String::from_utf8_lossy(&words).into_owned()
}

/// Checks that at most one of data, page and trace goes to standard output.
fn check_streams(args: &ReportArgs) -> Result<(), Stop> {
    let is_stream = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new(STANDARD_STREAM));
    let asked = [args.json, is_stream(&args.out), is_stream(&args.trace)];
    if asked.iter().filter(|asked| **asked).count() > 1 {
        let why = "only one of --json, --out - and --trace - can use standard output; name files";
        return Err(Stop::Message(why.to_owned()));
    }
    Ok(())
}

/// Draws every requested block.
pub(super) fn report(args: &ReportArgs) -> Result<End, Stop> {
    check_streams(args)?;
    let inputs = inputs::expand(&args.paths).map_err(|error| Stop::Message(error.to_string()))?;
    if let Some(path) = page_path(args) {
        check_writable("--out", path)?;
    }
    if let Some(path) = &args.trace {
        check_writable("--trace", path)?;
    }
    let mut bench = Bench::new(args)?;
    let mut progress = Progress::new(inputs.len());
    let (mut end, mut blocks) = (End::Right, Vec::new());
    for input in inputs {
        progress.begin(&input.name());
        let result = bench.block(input);
        progress.end();
        progress.aside(|| -> io::Result<()> {
            match result {
                Ok((block, explained)) => {
                    end = end.max(explained.wrong.as_ref().map_or(End::Right, |_| End::Mismatch));
                    match &explained.wrong {
                        _ if args.json => write_line(&block)?,
                        Some(wrong) => print_error(&format!("{}: {wrong}", explained.name)),
                        None => (),
                    }
                    blocks.push((name(&explained.name), block));
                }
                Err(error) => {
                    end = end.max(End::BadInput);
                    if args.json {
                        write_error(error.file(), &error.to_string())?;
                    } else {
                        print_error(&error);
                    }
                }
            }
            Ok(())
        })?;
    }
    drop(progress);
    if !blocks.is_empty() {
        write_trace(args, &blocks)?;
        write_page(args, &blocks)?;
        bench.known.warn()?;
    }
    Ok(end)
}

/// Returns a block's name for people.
fn name(file: &str) -> String {
    if file == STANDARD_STREAM { "standard input".to_owned() } else { inputs::short(file) }
}

fn write_trace(args: &ReportArgs, blocks: &[(String, BlockData)]) -> Result<(), Stop> {
    let Some(path) = &args.trace else { return Ok(()) };
    let timelines = blocks.iter().filter_map(|(name, block)| {
        let timeline: Option<&Timeline> = block.page.timeline.as_ref();
        Some((name.as_str(), timeline?))
    });
    write("--trace", path, page::trace(timelines).to_string().as_bytes())?;
    if !args.json {
        let shown = path.display();
        writeln!(anstream::stderr(), "Wrote {shown}: open it with https://ui.perfetto.dev")?;
    }
    Ok(())
}

/// Returns the path of the page, if one is to be written.
fn page_path(args: &ReportArgs) -> Option<&Path> {
    match &args.out {
        Some(path) => Some(path),
        None if args.json => None,
        None => Some(Path::new(PAGE)),
    }
}

fn write_page(args: &ReportArgs, blocks: &[(String, BlockData)]) -> Result<(), Stop> {
    let Some(path) = page_path(args) else { return Ok(()) };
    let page = page::page(blocks).map_err(io::Error::from)?;
    write("--out", path, page.as_bytes())?;
    if path != Path::new(STANDARD_STREAM) && !args.json {
        let shown = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let count = match blocks.len() {
            1 => "one block".to_owned(),
            count => format!("{count} blocks"),
        };
        writeln!(
            anstream::stderr(),
            "Wrote {}, {count}: open file://{} in a browser",
            path.display(),
            shown.display()
        )?;
    }
    Ok(())
}

/// Checks that the file named by `option` can be written, before there is anything to write. Leaves
/// no new file behind.
pub(super) fn check_writable(option: &str, path: &Path) -> Result<(), Stop> {
    let is_there = path.symlink_metadata().is_ok();
    if path == Path::new(STANDARD_STREAM) || (is_there && !path.is_file() && !path.is_dir()) {
        // A pipe would be consumed by opening it.
        return Ok(());
    }
    let opened = fs::OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| cannot_write(option, path, &error))?;
    if !is_there {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Returns an error that the file named by `option` cannot be written, with advice.
fn cannot_write(option: &str, path: &Path, error: &io::Error) -> Stop {
    let shown = path.display();
    Stop::Message(match missing_folder(path) {
        Some(folder) => format!(
            "cannot write {shown}: the folder {} is missing; create it, or name another file with {option}",
            folder.display()
        ),
        None => format!("cannot write {shown}: {error}; name another file with {option}"),
    })
}

/// Writes `bytes` to the file named by `option`.
pub(super) fn write(option: &str, path: &Path, bytes: &[u8]) -> Result<(), Stop> {
    if path == Path::new(STANDARD_STREAM) {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        return Ok(out.flush()?);
    }
    fs::write(path, bytes).map_err(|error| cannot_write(option, path, &error))
}
