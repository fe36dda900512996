//! `braid-node export`: writes the state as a genesis file.

use super::{count, open_to_read};
use braid_blocks::block_file::missing_folder;
use braid_chain::{
    EmbeddedSnapshot, ExportError, Exported, StateReader, export as export_state,
    open as open_chain,
};
use braid_terminal::{End, Progress, Stop, message};
use clap::Args;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  braid-node export chain/ state.json.zst
  braid-node init --genesis state.json.zst copy/      the same state and state root
  braid-node export chain/ | jq '.alloc | length'

Exit code: 0 if the whole state was written; 2 if not, or if the file exists.";

/// Write the state after the last durable block as a genesis file: the state, not the blocks
///
/// A folder holds no blocks, so none are exported. The file has geth's format: the configuration that the
/// chain began with, number, time, base fee, gas limit and difficulty of the last block, and in `alloc` all
/// accounts as they are now. A chain that `init` creates from it goes on under the same rules, and has the
/// same state and state root; it begins with a block of its own, which the blocks of this chain do not follow.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    /// The chain's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The file to write, packed if its name ends with .gz or .zst; `-`: standard output
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Overwrite a file that exists
    #[arg(long)]
    force: bool,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

/// Number of accounts and slots per step of the progress.
const STEP: u64 = 1_000;

/// zstd's default.
const ZSTD_LEVEL: i32 = 0;

/// Extensions of compression formats that this command does not support.
const OTHER_PACKING: [&str; 9] = ["bz2", "xz", "lzma", "lz4", "br", "7z", "zip", "zstd", "tgz"];

pub(super) fn export(args: &ExportArgs) -> Result<End, Stop> {
    let extension = args.file.extension().and_then(|it| it.to_str()).unwrap_or_default();
    if OTHER_PACKING.iter().any(|other| other.eq_ignore_ascii_case(extension)) {
        let file = args.file.display();
        return Err(message(format!(
            "{file}: the file would not be packed as its name says; choose a name that ends with \
             .gz or .zst, or with neither"
        )));
    }
    let (_folder, store) = open_to_read(&args.folder)?;
    let reader = open_chain(&store).map_err(message)?;
    if args.file.as_os_str() == "-" {
        let mut out = BufWriter::new(io::stdout().lock());
        let exported = write(&reader, &mut out).and_then(|exported| {
            out.flush()?;
            Ok(exported)
        });
        let exported = exported.map_err(|error| match error {
            ExportError::Output(error) => Stop::Output(error),
            other => message(other),
        })?;
        // Standard output holds the state, so the report goes to standard error.
        return report(args, &reader, exported, &mut io::stderr().lock());
    }
    let file = args.file.display();
    let exported = match target(&args.file, args.force)? {
        Target::File(path) => write_file(&reader, &path),
        Target::Stream => write_packed(&reader, &args.file, &args.file),
    };
    let exported = exported.map_err(|error| match error {
        ExportError::Output(error) => {
            message(format!("{file}: the file cannot be written: {error}"))
        }
        other => message(other),
    })?;
    report(args, &reader, exported, &mut io::stdout().lock())
}

fn report(
    args: &ExportArgs,
    reader: &StateReader<EmbeddedSnapshot>,
    exported: Exported,
    out: &mut impl Write,
) -> Result<End, Stop> {
    let head = reader.head();
    let Exported { accounts, slots } = exported;
    if args.json {
        let report = json!({
            "number": head.number,
            "hash": head.hash,
            "state_root": reader.state_root().map_err(message)?,
            "accounts": accounts,
            "slots": slots,
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "state after block {} {}", head.number, head.hash)?;
        writeln!(out, "{}, {}", count(accounts, "account"), count(slots, "slot"))?;
    }
    Ok(End::Right)
}

/// Output of the state.
enum Target {
    /// A file, which is replaced once everything is written to a temporary file beside it.
    File(PathBuf),
    /// A pipe or a device, which cannot be replaced.
    Stream,
}

/// Determines the kind of output at `path`. A link is followed: its target is replaced, not the
/// link.
fn target(path: &Path, force: bool) -> Result<Target, Stop> {
    let failed = |error: io::Error| message(format!("{}: {error}", path.display()));
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match missing_folder(path) {
                Some(folder) => Err(message(format!(
                    "{}: the folder {} is missing; create it, or name another file",
                    path.display(),
                    folder.display()
                ))),
                None => Ok(Target::File(path.to_owned())),
            };
        }
        other => other.map_err(failed)?,
    };
    let refused = |why| Err(message(format!("{} {why}", path.display())));
    if found.is_dir() {
        return refused("is a folder; name a file in it");
    }
    if !found.is_file() {
        return Ok(Target::Stream);
    }
    if !force {
        return refused("exists; choose another name, or overwrite the file with --force");
    }
    path.canonicalize().map(Target::File).map_err(failed)
}

/// Writes the state to `path`. An existing file stays until everything is written beside it.
fn write_file(
    reader: &StateReader<EmbeddedSnapshot>,
    path: &Path,
) -> Result<Exported, ExportError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.partial"));
    let written = write_packed(reader, path, &partial)
        .and_then(|exported| Ok(fs::rename(&partial, path).map(|()| exported)?));
    if written.is_err() {
        // The original error matters, not this one; there may be nothing to remove.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Writes the state to `path`, compressed according to the extension of `named`.
fn write_packed(
    reader: &StateReader<EmbeddedSnapshot>,
    named: &Path,
    path: &Path,
) -> Result<Exported, ExportError> {
    let mut out = BufWriter::new(File::create(path)?);
    let exported = match named.extension().and_then(|it| it.to_str()) {
        Some("gz") => {
            let mut packed = GzEncoder::new(&mut out, Compression::default());
            let exported = write(reader, &mut packed)?;
            packed.finish()?;
            exported
        }
        Some("zst") => {
            let mut packed = zstd::Encoder::new(&mut out, ZSTD_LEVEL)?;
            let exported = write(reader, &mut packed)?;
            packed.finish()?;
            exported
        }
        _ => write(reader, &mut out)?,
    };
    let file = out.into_inner().map_err(io::Error::from)?;
    // A pipe or a device has nothing to sync, and may refuse to.
    if file.metadata()?.is_file() {
        file.sync_all()?;
    }
    Ok(exported)
}

fn write(
    reader: &StateReader<EmbeddedSnapshot>,
    out: &mut impl Write,
) -> Result<Exported, ExportError> {
    let mut progress = Progress::open_ended();
    export_state(reader, out, |Exported { accounts, slots }| {
        if accounts.saturating_add(slots).is_multiple_of(STEP) {
            let done = [count(accounts, "account"), count(slots, "slot")];
            progress.begin(&format!("thousand records: {}", done.join(", ")));
            progress.end();
        }
    })
}
