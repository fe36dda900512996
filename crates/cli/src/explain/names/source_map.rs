//! Maps instructions to lines of source, with the source maps of `solc`.

use alloy_primitives::Bytes;
use revm::bytecode::opcode;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

/// A line of source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Path of the file.
    pub file: PathBuf,
    /// Line number, from 1.
    pub line: usize,
    /// Column, from 1, in UTF-16 code units, which SARIF and editors use.
    pub column: usize,
}

/// The source map of a contract's code.
#[derive(Clone, Debug)]
pub struct SourceMap {
    /// Byte offset and file number of each instruction.
    entries: Vec<(i64, i64)>,
    files: BTreeMap<i64, File>,
}

/// A source file, read on first use.
#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    text: Arc<OnceLock<Option<String>>>,
}

impl SourceMap {
    /// Parses a source map `text` of `solc`, with the source files by number.
    #[must_use]
    pub fn new(text: &str, files: BTreeMap<i64, PathBuf>) -> Self {
        let (mut start, mut file) = (0, -1);
        let entry = |entry: &str| {
            let mut fields = entry.split(':');
            // An empty field repeats the previous value.
            let mut next =
                |before: i64| fields.next().and_then(|it| it.parse().ok()).unwrap_or(before);
            start = next(start);
            next(0);
            file = next(file);
            (start, file)
        };
        let entries = text.split(';').map(entry).collect();
        let file = |(id, path)| (id, File { path, text: Arc::default() });
        Self { entries, files: files.into_iter().map(file).collect() }
    }

    /// Returns the line of the instruction at `counter` in `code`; `None` if its file is unknown or
    /// cannot be read.
    #[must_use]
    pub fn line(&self, code: &Bytes, counter: usize) -> Option<Line> {
        let mut at = 0;
        let mut instruction = 0;
        while at < counter {
            let pushed = code.get(at)?.wrapping_sub(opcode::PUSH1);
            at += 1 + if pushed < 32 { usize::from(pushed) + 1 } else { 0 };
            instruction += 1;
        }
        let (start, id) = *self.entries.get(instruction)?;
        let file = self.files.get(&id)?;
        let text = file.text.get_or_init(|| std::fs::read_to_string(&file.path).ok()).as_ref()?;
        let before = text.as_bytes().get(..usize::try_from(start).ok()?)?;
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let column = String::from_utf8_lossy(&before[begin..]).encode_utf16().count() + 1;
        Some(Line { file: file.path.clone(), line, column })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_utf16_code_units() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sol");
        // Two, three and four bytes in UTF-8; one, one and two units in UTF-16.
        std::fs::write(&path, "x\n\u{e9}\u{20ac}\u{1d11e}y\n").unwrap();
        let map = SourceMap::new("11:1:0", [(0, path)].into());
        let line = map.line(&Bytes::from_static(&[0x54]), 0).unwrap();
        assert_eq!((line.line, line.column), (2, 5));
    }

    #[test]
    fn what_is_left_out_is_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sol");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let map = SourceMap::new("0:3:7:-:0;4::;;:2;8:5:-1;9:1:7", [(7, path.clone())].into());
        // PUSH1 0, SLOAD, PUSH2 0 0, SLOAD, STOP, STOP
        let code = Bytes::from_static(&[0x60, 0, 0x54, 0x61, 0, 0, 0x54, 0, 0]);
        let at = |counter| map.line(&code, counter).map(|it| (it.line, it.column));
        assert_eq!([0, 2, 3, 6].map(at), [Some((1, 1)), Some((2, 1)), Some((2, 1)), Some((2, 1))]);
        assert_eq!([7, 8, 9].map(at), [None, Some((3, 2)), None]);
        assert_eq!(map.line(&code, 0).unwrap().file, path);
    }
}
