//! Draws the ratios of docs/BENCHMARKS.md.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The table, and the drawing of it.
const TABLE: &str = "docs/data/benchmarks/ratios.tsv";
const DRAWING: &str = "docs/ratios.svg";

/// Pixels: of the names, of a ratio of 1, and of a line.
const LEFT: f64 = 130.0;
const UNIT: f64 = 260.0;
const LINE: f64 = 13.0;
/// Ratios from which on a bar is cut off.
const MOST: f64 = 2.25;

/// A row of the tables.
struct Row {
    block: String,
    workers: u32,
    ratio: f64,
    /// The ratio of two threads that know of no conflict.
    bound: f64,
}

impl Row {
    fn of(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.split('\t').collect();
        let [block, workers, _, _, ratio, _, _, _, _, bound, ..] = *cells else { return None };
        Some(Self {
            block: block.to_owned(),
            workers: workers.parse().ok()?,
            ratio: ratio.strip_prefix("**")?.strip_suffix("**")?.parse().ok()?,
            bound: bound.parse().ok()?,
        })
    }
}

/// Draws the table again.
pub(crate) fn plot(root: &Path) -> Result<String, String> {
    let drawn = drawing(root)?;
    fs::write(root.join(DRAWING), drawn).map_err(|error| format!("{DRAWING}: {error}"))?;
    Ok(format!("{DRAWING} shows {TABLE}"))
}

fn drawing(root: &Path) -> Result<String, String> {
    let table = fs::read_to_string(root.join(TABLE));
    let table = table.map_err(|error| format!("{TABLE}: {error}"))?;
    let rows: Vec<Row> = table.lines().filter_map(Row::of).collect();
    if rows.is_empty() {
        return Err(format!("{TABLE} has no rows with a block, workers and ratios"));
    }
    Ok(draw(&rows))
}

/// Bars of one worker are light, of more dark; the mark is the bound.
fn draw(rows: &[Row]) -> String {
    let (width, height) = (LEFT + MOST * UNIT + 60.0, (rows.len() + 3) as f64 * LINE);
    let bottom = height - 2.0 * LINE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"10\">\n\
         <title>Ratio to sequential revm: light one worker, dark more, mark two halves</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for quarter in 0..=9 {
        let ratio = f64::from(quarter) / 4.0;
        let (x, color) = (LEFT + ratio * UNIT, if quarter == 4 { "black" } else { "#ddd" });
        let _ = writeln!(
            svg,
            "<path d=\"M{x} 0V{bottom}\" stroke=\"{color}\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{ratio}</text>",
            bottom + LINE
        );
    }
    let mut last = "";
    for (index, row) in rows.iter().enumerate() {
        bar(&mut svg, row, index as f64 * LINE + LINE / 2.0, row.block != last);
        last = &row.block;
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, row: &Row, y: f64, is_first: bool) {
    let Row { block, workers, ratio, bound } = row;
    let color = if *workers == 1 { "#9ec5e8" } else { "#1f5f99" };
    let (length, baseline) = (ratio.min(MOST) * UNIT, y + LINE - 3.0);
    if is_first {
        let x = LEFT - 6.0;
        let _ =
            writeln!(svg, "<text x=\"{x}\" y=\"{baseline}\" text-anchor=\"end\">{block}</text>");
    }
    let (thick, end) = (LINE - 2.0, LEFT + length + 4.0);
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{thick}\" fill=\"{color}\"/>\
         <text x=\"{end:.1}\" y=\"{baseline}\">{ratio:.2}</text>"
    );
    if *workers > 1 && *bound <= MOST {
        let x = LEFT + bound * UNIT;
        let _ =
            writeln!(svg, "<path d=\"M{x:.1} {y}v{thick}\" stroke=\"#c33\" stroke-width=\"2\"/>");
    }
}

#[cfg(test)]
mod tests {
    use super::{DRAWING, Row, TABLE, drawing};
    use crate::workspace::root;
    use std::fs;

    #[test]
    fn rows_are_read_as_they_are_printed() {
        let line =
            "e_uni\t2\t5000\t119.61\t**1.70**\t1.57\t1.14\t1.23\t1.42\t2.07\t2.03\t0.0 %\t5 %";
        let row = Row::of(line).expect("a row");
        assert_eq!(
            (row.block.as_str(), row.workers, row.ratio, row.bound),
            ("e_uni", 2, 1.7, 2.07)
        );
        for other in ["block\tworkers", "e_uni", "a\tx\t1\t1\t**1.0**"] {
            assert!(Row::of(other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_drawing_is_that_of_the_tables() {
        let drawn = drawing(&root()).expect("a table with rows");
        let kept = fs::read_to_string(root().join(DRAWING)).unwrap_or_default();
        assert!(drawn == kept, "{TABLE} has changed: `cargo xtask plot` draws {DRAWING} again");
    }
}
