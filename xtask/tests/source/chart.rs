//! Draws the README's chart from the table of Braid and pevm side by side.

use crate::pages::writes;
use crate::root;
use crate::tables::rows;
use std::fmt::Write;

const CHART: &str = "docs/images/real_blocks.svg";

/// Position of speed-up 0.5, and pixels per unit.
const SCALE: [f64; 2] = [260.0, 320.0];
/// Height of the part above the rows, and of a row.
const HEIGHTS: [usize; 2] = [28, 44];
/// Colours that are legible on white and on black: of Braid, of others, of text and axes.
const COLOURS: [&str; 3] = ["#2f81f7", "#bf8700", "#7d8590"];

fn x(speed_up: f64) -> f64 {
    let [left, unit] = SCALE;
    left + (speed_up - 0.5) * unit
}

/// Draws one row: the range of all blocks, the box of the quartiles, and the median.
fn draw_row(svg: &mut String, row: &[String], top: usize) {
    let [label, build, blocks, values @ ..] = row else { panic!("a row without values: {row:?}") };
    let value = |cell: &String| cell.trim_matches('*').parse().expect("a number");
    let values: Vec<f64> = values.iter().take(5).map(value).collect();
    let [slowest, lower, median, upper, fastest] = values[..] else {
        panic!("{label}: five values are needed")
    };
    let [braid, other, text] = COLOURS;
    let colour = if label.contains("pevm") { other } else { braid };
    let (middle, edge) = (top + 14, top + 4);
    let mut add = |line: String| writeln!(svg, "{line}").expect("a string takes all");
    add(format!(r#"<text x="8" y="{}" fill="{text}">{label}</text>"#, top + 12));
    add(format!(
        r#"<text x="8" y="{}" fill="{text}" font-size="11">{blocks} blocks, build {build}</text>"#,
        top + 26
    ));
    add(format!(
        r#"<path d="M{:.0} {middle}H{:.0}" stroke="{colour}" stroke-width="2"/>"#,
        x(slowest),
        x(fastest)
    ));
    add(format!(
        r#"<rect x="{:.0}" y="{edge}" width="{:.0}" height="20" fill="{colour}" fill-opacity="0.5"/>"#,
        x(lower),
        x(upper) - x(lower)
    ));
    add(format!(r#"<path d="M{:.0} {edge}v20" stroke="{colour}" stroke-width="4"/>"#, x(median)));
    add(format!(
        r#"<text x="{:.0}" y="{}" fill="{text}" font-size="11" text-anchor="middle">{median:.2}</text>"#,
        x(median),
        top + 36
    ));
}

fn chart(rows: &[Vec<String>]) -> String {
    let [above, each] = HEIGHTS;
    let bottom = above + each * rows.len();
    let text = COLOURS[2];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 {}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<title>Speed-up on real blocks, two threads</title>\n",
        bottom + 8
    );
    for tick in [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0] {
        let dashes = if tick == 1.0 { "none" } else { "2 4" };
        let at = x(tick);
        svg += &format!(
            "<text x=\"{at:.0}\" y=\"16\" fill=\"{text}\" text-anchor=\"middle\">{tick}</text>\n\
             <path d=\"M{at:.0} 22V{bottom}\" stroke=\"{text}\" stroke-dasharray=\"{dashes}\"/>\n",
        );
    }
    for (row, index) in rows.iter().zip(0..) {
        draw_row(&mut svg, row, above + each * index);
    }
    svg + "</svg>\n"
}

#[test]
fn the_chart_shows_the_table() {
    let drawn = chart(&rows("benchmarks/rivals"));
    let path = root().join(CHART);
    if writes() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        std::fs::write(path, drawn).expect("the chart can be written");
    } else {
        let found = std::fs::read_to_string(path).expect("the chart is there");
        assert_eq!(found, drawn, "{CHART}: run `cargo xtask pages`");
    }
}
