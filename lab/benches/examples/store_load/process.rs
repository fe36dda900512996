//! Resource usage of this process, as reported by Linux.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Returns the mebibytes that the process has written to disk.
pub(crate) fn mib_written() -> crate::Result<u64> {
    Ok(field("/proc/self/io", "write_bytes: ")? >> 20)
}

/// Returns the mebibytes of anonymous memory.
pub(crate) fn mib_of_memory() -> crate::Result<u64> {
    Ok(field("/proc/self/status", "RssAnon:")? >> 10)
}

fn field(file: &str, name: &str) -> crate::Result<u64> {
    let text = fs::read_to_string(file)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// Returns the processor time of all threads, in seconds.
pub(crate) fn cpu_seconds() -> crate::Result<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // The program's name is in parentheses; user and system ticks are the 12th and 13th fields
    // after it.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

/// Returns the size of the files in a folder, in mebibytes.
pub(crate) fn mib_on_disk(folder: &Path) -> crate::Result<u64> {
    fn blocks(folder: &Path) -> std::io::Result<u64> {
        fs::read_dir(folder)?.try_fold(0, |sum, entry| {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let below = if metadata.is_dir() { blocks(&entry.path())? } else { metadata.blocks() };
            Ok(sum + below)
        })
    }
    Ok((blocks(folder)? * 512) >> 20)
}
