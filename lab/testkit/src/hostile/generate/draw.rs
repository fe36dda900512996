//! Draws choices from bytes.

use arbitrary::Unstructured;
use core::ops::Range;

/// Draws choices from a fuzzer's bytes; after their end, every choice is the first one.
#[derive(Debug)]
pub(super) struct Draw<'a, 'b> {
    bytes: &'a mut Unstructured<'b>,
    /// Number of bytes that were left at each [`mark`](Self::mark).
    marks: Vec<usize>,
}

impl<'a, 'b> Draw<'a, 'b> {
    pub(super) const fn new(bytes: &'a mut Unstructured<'b>) -> Self {
        Self { bytes, marks: Vec::new() }
    }

    /// Marks a boundary between items.
    pub(super) fn mark(&mut self) {
        self.marks.push(self.bytes.len());
    }

    /// Returns where the marked items are among all `total` bytes. Items drawn after the end of the
    /// bytes are missing.
    pub(super) fn items(&self, total: usize) -> Vec<Range<usize>> {
        let items = self.marks.windows(2).map(|pair| total - pair[0]..total - pair[1]);
        items.filter(|item| !item.is_empty()).collect()
    }

    /// Draws a number below `end`; 0 if `end` is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        match end {
            0 | 1 => 0,
            end => self.bytes.int_in_range(0..=end - 1).unwrap_or(0),
        }
    }

    /// Returns true with a probability of `percent`; false after the end of the bytes.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) >= 100 - percent.min(100)
    }

    /// Draws one of `items`.
    ///
    /// # Panics
    /// Panics if `items` is empty.
    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize].clone()
    }
}
