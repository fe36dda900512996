//! Planes of a sweep as a picture.

use crate::bench::contention::Plane;
use braid_testkit::workload::Contention;
use std::fmt::Write as _;

/// Width and height of a cell, and of what stands beside and above a plane.
const CELL: (usize, usize) = (74, 26);
const LEFT: usize = 84;
const TOP: usize = 46;

/// Draws `share` of each cell: green from 0.85 on, then yellow, red where half of the bound is missed. Each cell holds
/// its number, so that nothing depends on colours.
pub(super) fn heat_map(
    title: &str,
    planes: &[Plane],
    share: impl Fn(&Contention) -> Option<f64>,
) -> String {
    let columns = planes.iter().map(|plane| plane.columns.len()).max().unwrap_or_default();
    let heights = planes.iter().map(|plane| TOP + CELL.1 * plane.rows.len());
    let (width, height) = (LEFT + CELL.0 * columns + 10, 40 + heights.sum::<usize>());
    let mut svg = String::new();
    let title = escaped(title);
    // Writing to a string does not fail.
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="{title}">
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="10" y="22" font-size="15" font-weight="600">{title}</text>"##
    );
    let mut y = 40;
    for plane in planes {
        let _ = writeln!(
            svg,
            r#"<text x="10" y="{}" font-weight="600">{}</text>"#,
            y + 32,
            escaped(plane.name)
        );
        for (at, column) in plane.columns.iter().enumerate() {
            let (x, y) = (LEFT + at * CELL.0 + CELL.0 / 2, y + 32);
            let _ = writeln!(
                svg,
                r#"<text x="{x}" y="{y}" text-anchor="middle">{}</text>"#,
                escaped(column)
            );
        }
        y += TOP;
        for (slots, row) in &plane.rows {
            let _ =
                writeln!(svg, r#"<text x="10" y="{}">{slots} slots</text>"#, y + CELL.1 * 2 / 3);
            for (at, cell) in row.iter().enumerate() {
                if let Some(share) = share(cell) {
                    draw(&mut svg, (LEFT + at * CELL.0, y), share, &cell.to_string());
                }
            }
            y += CELL.1;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, (x, y): (usize, usize), share: f64, name: &str) {
    // From red at one half over yellow to green.
    let hue = (((share - 0.5) / 0.35).clamp(0.0, 1.0) * 120.0).round();
    let (width, height) = (CELL.0 - 2, CELL.1 - 2);
    let (text_x, text_y) = (x + width / 2, y + CELL.1 * 2 / 3);
    let name = escaped(name);
    let _ = writeln!(
        svg,
        r#"<g><title>{name}</title><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="hsl({hue}, 62%, 72%)"/><text x="{text_x}" y="{text_y}" text-anchor="middle">{share:.2}</text></g>"#
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contention::{QUICK_SLOTS, planes};

    #[test]
    fn each_cell_that_was_measured_is_drawn_with_its_number() {
        let planes = planes(&QUICK_SLOTS);
        let cells: usize =
            planes.iter().flat_map(|plane| &plane.rows).map(|(_, row)| row.len()).sum();
        let all = heat_map("a < b", &planes, |_| Some(0.91));
        assert_eq!(all.matches(">0.91</text>").count(), cells);
        assert!(all.contains("a &lt; b") && all.ends_with("</svg>\n"));
        let one = heat_map("one", &planes, |it| (it.slots == 1).then_some(0.4));
        assert_eq!(one.matches("hsl(0, ").count(), cells / QUICK_SLOTS.len());
    }
}
