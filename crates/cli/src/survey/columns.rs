//! The rows of a survey as CSV.

use super::row::{BlockRow, Row};
use std::fmt::Write;

/// Value of a column in a row.
enum Cell {
    Flag(bool),
    Text(Option<String>),
    Whole(Option<u64>),
    Real(Option<f64>),
}

/// A column of the table.
#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    of: fn(&Row) -> Cell,
}

macro_rules! columns {
    ($($name:ident: $cell:expr),+ $(,)?) => {
        [$(Column { name: stringify!($name), of: $cell }),+]
    };
}

/// All columns, as docs/SURVEY.md lists them.
const COLUMNS: [Column; 22] = columns![
    file: |row| Cell::Text(Some(match row {
        Row::Block(row) => row.file.clone(),
        Row::Failed(row) => row.file.clone(),
    })),
    ok: |row| Cell::Flag(row.block().is_some()),
    error: |row| Cell::Text(match row {
        Row::Block(_) => None,
        Row::Failed(row) => Some(row.error.clone()),
    }),
    chain_id: |row| whole(row, |row| row.chain_id),
    block: |row| whole(row, |row| row.block),
    fork: |row| Cell::Text(row.block().map(|row| row.fork.clone())),
    txs: |row| count(row, |row| Some(row.txs)),
    gas: |row| whole(row, |row| row.gas),
    longest: |row| whole(row, |row| row.longest),
    late_read: |row| whole(row, |row| row.late_read),
    chain: |row| whole(row, |row| row.chain),
    chain_txs: |row| count(row, |row| Some(row.chain_txs)),
    workers: |row| count(row, |row| Some(row.workers)),
    no_conflicts_on_workers: |row| whole(row, |row| row.no_conflicts_on_workers),
    late_read_on_workers: |row| whole(row, |row| row.late_read_on_workers),
    chain_on_workers: |row| whole(row, |row| row.chain_on_workers),
    limit: |row| Cell::Text(row.block().map(|row| format!("{:?}", row.limit).to_lowercase())),
    simulated_speedup: |row| Cell::Real(row.block().and_then(|row| row.simulated_speedup)),
    measured_speedup: |row| Cell::Real(row.block().and_then(|row| row.measured_speedup)),
    measured_workers: |row| count(row, |row| row.measured_workers),
    busy_share: |row| Cell::Real(row.block().and_then(|row| row.busy_share)),
    first: |row| Cell::Text(row.block().and_then(|row| row.first.clone())),
];

fn whole(row: &Row, of: fn(&BlockRow) -> u64) -> Cell {
    Cell::Whole(row.block().map(of))
}

fn count(row: &Row, of: fn(&BlockRow) -> Option<usize>) -> Cell {
    Cell::Whole(row.block().and_then(of).map(|it| u64::try_from(it).unwrap_or(u64::MAX)))
}

/// Renders the rows as CSV (RFC 4180), with a header line.
#[must_use]
pub fn csv(rows: &[Row]) -> String {
    let mut text = COLUMNS.map(|column| column.name).join(",") + "\r\n";
    for row in rows {
        for (index, column) in COLUMNS.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            // Writing to a string cannot fail.
            let _ = match (column.of)(row) {
                Cell::Flag(is) => write!(text, "{is}"),
                Cell::Text(some) => {
                    text.push_str(&some.as_deref().map_or_else(String::new, quoted));
                    Ok(())
                }
                Cell::Whole(some) => some.map_or(Ok(()), |it| write!(text, "{it}")),
                Cell::Real(some) => some.map_or(Ok(()), |it| write!(text, "{it}")),
            };
        }
        text.push_str("\r\n");
    }
    text
}

/// Quotes a text as a field.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::FailedRow;

    #[test]
    fn a_field_is_quoted_where_it_has_to_be() {
        let failed = FailedRow::new("a,b.json".to_owned(), "found \"x\"".to_owned());
        let text = csv(&[Row::Failed(failed)]);
        let mut lines = text.split("\r\n");
        assert_eq!(lines.next().map(|it| it.split(',').count()), Some(COLUMNS.len()));
        assert_eq!(
            lines.next(),
            Some(&*format!("\"a,b.json\",false,\"found \"\"x\"\"\"{}", ",".repeat(19)))
        );
        assert_eq!((lines.next(), lines.next()), (Some(""), None));
    }
}
