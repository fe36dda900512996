//! Lines of source that access a location.

use super::{location::Location, names::Line, record::Recording, watch::Instruction};
use serde::Serialize;
use std::{collections::BTreeSet, fmt};

/// A line of source that accesses a location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceLine {
    /// Path of the file.
    pub file: String,
    /// Line number, from 1.
    pub line: usize,
    /// Column, from 1, in UTF-16 code units.
    pub column: usize,
    /// Whether the line stores, or pays or creates; otherwise it loads.
    pub stores: bool,
}

impl SourceLine {
    fn new(line: &Line, stores: bool) -> Self {
        let file = line.file.to_string_lossy();
        let file = file.strip_prefix("./").unwrap_or(&file).replace('\\', "/");
        Self { file, line: line.line, column: line.column, stores }
    }

    /// Returns what the line does with the location.
    #[must_use]
    pub const fn does(&self) -> &'static str {
        if self.stores { "stores" } else { "loads" }
    }
}

/// Lines that store come first.
impl Ord for SourceLine {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = (!self.stores, &self.file, self.line, self.column);
        key.cmp(&(!other.stores, &other.file, other.line, other.column))
    }
}

impl PartialOrd for SourceLine {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{} {}", self.file, self.line, self.column, self.does())
    }
}

/// Returns the lines of the contract's functions `of_interest` that access one of `locations`;
/// empty without a source map.
#[must_use]
pub fn source_lines(
    recording: &Recording,
    locations: &[Location],
    of_interest: impl Fn(Option<[u8; 4]>) -> bool,
) -> BTreeSet<SourceLine> {
    if !recording.names.has_lines() {
        return BTreeSet::new();
    }
    let sites = recording.transactions.iter().flat_map(|it| &it.sites);
    let here = sites.filter(|it| locations.contains(&it.location) && of_interest(it.function));
    let instructions: BTreeSet<(Instruction, bool)> =
        here.filter_map(|it| Some((it.instruction?, it.stores))).collect();
    let line = |(Instruction { code, counter }, stores)| {
        Some(SourceLine::new(&recording.names.line(&code, counter)?, stores))
    };
    instructions.into_iter().filter_map(line).collect()
}
