//! Computes the tables from the lines of the series.

use crate::compare_builds::statistics::quantile;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Lines of each series that has been measured.
pub(super) type Measured = BTreeMap<&'static str, Vec<Value>>;

/// A table of docs/BENCHMARKS.md.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The series that it is computed from.
    pub(super) series: &'static [&'static str],
    /// Headings, separated by bars.
    head: &'static str,
    rows: fn(&[&[Value]]) -> Rows,
}

type Rows = Vec<Vec<String>>;

const BLOCKS: &str = "speed-up|blocks|slowest|lower quartile|**median**|upper quartile|fastest|processor time|below 0.97";

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "real_blocks",
        series: &["real", "real_first"],
        head: BLOCKS,
        rows: |of| real_blocks(of, true),
    },
    Table {
        name: "short_blocks",
        series: &["real", "real_first"],
        head: BLOCKS,
        rows: |of| real_blocks(of, false),
    },
    Table {
        name: "workloads",
        series: &["workloads", "workloads_first"],
        head: "block|revm, us/tx|one worker, seen before|**two workers, seen before**|two workers, first seen|\
               processor time, two workers seen before|two halves, unmerged",
        rows: workloads,
    },
    Table {
        name: "short_workloads",
        series: &["short"],
        head: "workload, 400 transactions|speed-up|processor time",
        rows: short_workloads,
    },
    Table {
        name: "slow_reads",
        series: &["workloads"],
        head: "block|transactions|revm, us/tx|one worker|two workers and 14 more that read|processor time",
        rows: slow_reads,
    },
    Table {
        name: "memory",
        series: &["workloads"],
        head: "MiB|sequential revm|one worker|two workers",
        rows: memory,
    },
    Table {
        name: "transaction_cost",
        series: &["cost"],
        head: "workload|policy|processor time|beyond revm|speed-up|execute|execute, beyond sequential|publish|\
               coordinate, validate|commit|bundle",
        rows: transaction_cost,
    },
    Table {
        name: "entries",
        series: &["entries"],
        head: "entry|workers|reads|slowest|lower quartile|**median**|upper quartile|fastest|below 0.97|\
               against `Executor`|processor time",
        rows: entries,
    },
    Table {
        name: "entry_workloads",
        series: &["entries"],
        head: "block|reads|`Executor`, one worker|`Executor`, two workers|handles, one worker|handles, two workers|\
               plain `State`, two workers",
        rows: entry_workloads,
    },
    Table {
        name: "sustained",
        series: SUSTAINED,
        head: "load|Braid, transactions per second|revm, transactions per second|ratio|latency p50, p99|memory|\
               processor seconds per Mgas",
        rows: sustained,
    },
    Table {
        name: "sustained_stages",
        series: SUSTAINED,
        head: "load|execution|receipts, hash|waiting for the writer|waiting for transactions|\
               writer thread: changes and root|writer thread: store|supplying thread",
        rows: sustained_stages,
    },
    Table {
        name: "with_list",
        series: &["real", "workloads", "lists"],
        head: "block|without a list|with its list|processor time without|with its list",
        rows: with_list,
    },
    Table {
        name: "list_cost",
        series: &["real", "workloads", "made_lists"],
        head: "block|one worker|two workers",
        rows: list_cost,
    },
    Table {
        name: "busy",
        series: &["busy", "busier", "real"],
        head: "load beside each run|slowest|lower quartile|**median**|upper quartile|below 0.6|processor time",
        rows: busy,
    },
    Table {
        name: "contention",
        series: &["contention"],
        head: "call \\ slots|1|2|4|16|40|100|300|1,000",
        rows: contention,
    },
    Table {
        name: "odd",
        series: &["odd"],
        head: "blocks|number|seen before: slowest, median|first seen: slowest, median|\
               processor time, the larger of both|estimated bound|slowest block, seen before",
        rows: odd,
    },
    Table {
        name: "real_blocks_virtual",
        series: &["real_virtual"],
        head: "workers|all blocks|tuning half|held-out half|work|bound: chains of conflicts|\
               bound: longest transaction",
        rows: real_blocks_virtual,
    },
    Table {
        name: "with_list_virtual",
        series: &["real_virtual", "lists_virtual"],
        head: "workers|without a list|with its list|bound: longest transaction",
        rows: with_list_virtual,
    },
    Table {
        name: "aims",
        series: &["real", "real_first", "workloads", "workloads_first", "cost"],
        head: "two workers unless stated|measured|aim",
        rows: aims,
    },
];

const SUSTAINED: &[&str] =
    &["sustain_native", "sustain_mixed", "sustain_contended", "sustain_signed", "sustain_flat"];

impl Table {
    /// Returns the file of the table: columns separated by tabs.
    pub(super) fn text(&self, measured: &Measured) -> Result<String, String> {
        let lines: Option<Vec<_>> =
            self.series.iter().map(|name| measured.get(name).map(Vec::as_slice)).collect();
        let lines = lines.ok_or("a series is missing")?;
        if let Some(line) =
            lines.iter().copied().flatten().find(|line| !text(line, "error").is_empty())
        {
            return Err(format!("{}: {}", text(line, "file"), text(line, "error")));
        }
        let rows = (self.rows)(&lines);
        if rows.is_empty() {
            return Err("it has no rows".into());
        }
        let mut text = format!("{}\n", self.head.replace('|', "\t"));
        for row in rows {
            writeln!(text, "{}", row.join("\t")).map_err(|error| error.to_string())?;
        }
        Ok(text)
    }
}

fn number(line: &Value, field: &str) -> f64 {
    line.pointer(&format!("/{}", field.replace('.', "/")))
        .and_then(Value::as_f64)
        .unwrap_or(f64::NAN)
}

fn text<'v>(line: &'v Value, field: &str) -> &'v str {
    line.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the lines of this number of workers.
fn of(lines: &[Value], workers: u64) -> Vec<&Value> {
    lines
        .iter()
        .filter(|line| line.get("workers").and_then(Value::as_u64) == Some(workers))
        .collect()
}

/// Returns the line of `lines` about the same block.
fn same<'v>(lines: &[&'v Value], name: &str) -> Option<&'v Value> {
    lines.iter().copied().find(|line| text(line, "workload") == name)
}

fn median(lines: &[&Value], field: &str) -> f64 {
    quantile(lines.iter().map(|line| number(line, field)).filter(|it| it.is_finite()), 0.5)
}

fn geometric(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values
        .filter(|it| it.is_finite())
        .fold((0.0, 0), |(sum, count), it| (sum + it.ln(), count + 1));
    (sum / f64::from(count.max(1))).exp()
}

fn two(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "-".into() }
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

/// Formats an integer with commas.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns minimum, quartiles and maximum of a field, with a bold median.
fn spread(lines: &[&Value], field: &str) -> Vec<String> {
    let at = |part| {
        let values = lines.iter().map(|line| number(line, field)).filter(|it| it.is_finite());
        two(quantile(values, part))
    };
    vec![at(0.0), at(0.25), format!("**{}**", at(0.5)), at(0.75), at(1.0)]
}

fn below(lines: &[&Value], field: &str, limit: f64) -> String {
    lines.iter().filter(|line| number(line, field) < limit).count().to_string()
}

/// Rows of the real blocks of 1 ms and more, or of the others.
fn real_blocks(series: &[&[Value]], long: bool) -> Rows {
    let [seen, first] = series else { return Rows::new() };
    let is_long = is_long(seen);
    let counted = |lines: &[Value], workers| -> Vec<Value> {
        let lines = of(lines, workers).into_iter().filter(|line| is_long(line) == long);
        lines.cloned().collect()
    };
    let row = |label: &str, lines: &[Value]| {
        let lines: Vec<&Value> = lines.iter().collect();
        let mut row = vec![label.to_owned(), lines.len().to_string()];
        row.extend(spread(&lines, "ratio"));
        row.extend([two(median(&lines, "cpu_ratio")), below(&lines, "ratio", 0.97)]);
        row
    };
    let both = counted(seen, 2);
    let halves: Vec<&Value> =
        both.iter().filter(|line| number(line, "bound_ratio").is_finite()).collect();
    let mut bound =
        vec!["two halves on two threads, unmerged".to_owned(), halves.len().to_string()];
    bound.extend(spread(&halves, "bound_ratio"));
    bound.extend(["-", "-"].map(str::to_owned));
    vec![
        row("two workers, seen before", &both),
        row("two workers, first seen", &counted(first, 2)),
        row("one worker, seen before", &counted(seen, 1)),
        row("one worker, first seen", &counted(first, 1)),
        bound,
    ]
}

/// The workloads that read from memory.
fn in_memory(lines: &[Value], workers: u64) -> Vec<&Value> {
    let is_slow = |line: &&Value| matches!(text(line, "workload"), "h_erc20io" | "m_mainio");
    of(lines, workers).into_iter().filter(|line| !is_slow(line)).collect()
}

fn workloads(series: &[&[Value]]) -> Rows {
    let [seen, first] = series else { return Rows::new() };
    let (ones, firsts) = (of(seen, 1), of(first, 2));
    let row = |both: &Value| {
        let name = text(both, "workload");
        let ratio = |lines: &[&Value]| same(lines, name).map_or(f64::NAN, |it| number(it, "ratio"));
        vec![
            code(name),
            two(number(both, "seq_us_per_tx")),
            two(ratio(&ones)),
            format!("**{}**", two(number(both, "ratio"))),
            two(ratio(&firsts)),
            two(number(both, "cpu_ratio")),
            two(number(both, "bound_ratio")),
        ]
    };
    in_memory(seen, 2).into_iter().map(row).collect()
}

fn short_workloads(series: &[&[Value]]) -> Rows {
    let [lines] = series else { return Rows::new() };
    let mut lines = of(lines, 2);
    lines.sort_by(|one, other| number(other, "ratio").total_cmp(&number(one, "ratio")));
    let row = |line: &&Value| {
        vec![
            code(text(line, "workload")),
            two(number(line, "ratio")),
            two(number(line, "cpu_ratio")),
        ]
    };
    lines.iter().map(row).collect()
}

fn slow_reads(series: &[&[Value]]) -> Rows {
    let [lines] = series else { return Rows::new() };
    let ones = of(lines, 1);
    let row = |both: &Value| {
        let name = text(both, "workload");
        let one = same(&ones, name).map_or(f64::NAN, |it| number(it, "ratio"));
        vec![
            code(name),
            grouped(number(both, "txs")),
            format!("{:.0}", number(both, "seq_us_per_tx")),
            two(one),
            two(number(both, "ratio")),
            two(number(both, "cpu_ratio")),
        ]
    };
    let slow = of(lines, 2).into_iter();
    slow.filter(|line| matches!(text(line, "workload"), "h_erc20io" | "m_mainio"))
        .map(row)
        .collect()
}

fn memory(series: &[&[Value]]) -> Rows {
    let [lines] = series else { return Rows::new() };
    let ones = of(lines, 1);
    let mib =
        |line: &Value, field: &str| format!("{:.0}", number(line, field) / f64::from(1 << 20));
    let row = |both: &Value| {
        let one = same(&ones, text(both, "workload")).unwrap_or(&Value::Null);
        vec![
            code(text(both, "workload")),
            mib(both, "seq_peak_bytes"),
            mib(one, "par_peak_bytes"),
            mib(both, "par_peak_bytes"),
        ]
    };
    of(lines, 2).into_iter().map(row).collect()
}

fn transaction_cost(series: &[&[Value]]) -> Rows {
    let [lines] = series else { return Rows::new() };
    let mut rows = Rows::new();
    for line in *lines {
        let name = code(text(line, "workload"));
        let mut revm = vec![
            name.clone(),
            "sequential revm".into(),
            two(number(line, "revm_us")),
            "-".into(),
            two(1.0),
        ];
        revm.extend(vec!["-".to_owned(); 6]);
        rows.push(revm);
        for way in line.get("ways").and_then(Value::as_array).into_iter().flatten() {
            let workers = if number(way, "workers") > 1.0 { "two workers" } else { "one worker" };
            let stage = |name: &str| number(way, &format!("stages.{name}"));
            rows.push(vec![
                name.clone(),
                format!("{}, {workers}", text(way, "way")),
                two(number(way, "cpu_us")),
                two(number(way, "beyond_us")),
                two(number(way, "ratio")),
                two(stage("execute")),
                two(number(way, "view_us")),
                two(stage("publish")),
                two(stage("coordinate") + stage("validate")),
                two(stage("commit")),
                two(stage("bundle")),
            ]);
        }
    }
    rows
}

fn entry(name: &str) -> String {
    match name {
        "factory" => "factory over a plain `State`".to_owned(),
        "factory, handles" => "factory with handles".to_owned(),
        "Executor, on_commit" => "`Executor` with `on_commit`".to_owned(),
        "Executor, keep_changes" => "`Executor` with `keep_changes`".to_owned(),
        name => code(name),
    }
}

/// Delays of reads in the series of entries, in microseconds.
const ENTRY_READS: [f64; 3] = [0.0, 5.0, 50.0];

fn reads(microseconds: f64) -> String {
    if microseconds == 0.0 { "memory".to_owned() } else { format!("{microseconds} us") }
}

/// Whether a line of the series of entries is about a real block.
fn is_real(line: &Value) -> bool {
    let number = text(line, "block").rsplit_once('-');
    number.is_some_and(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the blocks of the series of entries, without repetition.
fn blocks_of(lines: &[Value], is_counted: impl Fn(&Value) -> bool) -> Vec<&str> {
    let is_alloy =
        |line: &&Value| text(line, "entry") == "EthBlockExecutor" && number(line, "read_us") == 0.0;
    let counted = lines.iter().filter(is_alloy).filter(|line| is_counted(line));
    counted.map(|line| text(line, "block")).collect()
}

/// The real blocks that take alloy-evm's own executor at least 1 ms with reads from memory.
fn entries(series: &[&[Value]]) -> Rows {
    let [lines] = series else { return Rows::new() };
    let counted = blocks_of(lines, |line| is_real(line) && number(line, "wall_ms") >= 1.0);
    let row = |(read_us, workers, name): (f64, u64, &str)| {
        let found: Vec<&Value> = of(lines, workers)
            .into_iter()
            .filter(|line| text(line, "entry") == name && number(line, "read_us") == read_us)
            .filter(|line| counted.contains(&text(line, "block")))
            .collect();
        let mut row = vec![entry(name), workers.to_string(), reads(read_us)];
        row.extend(spread(&found, "against_alloy"));
        row.push(below(&found, "against_alloy", 0.97));
        row.push(two(median(&found, "against_engine")));
        row.push(two(median(&found, "cpu_ratio")));
        row
    };
    let names = [
        "Executor",
        "Executor, on_commit",
        "Executor, keep_changes",
        "factory, handles",
        "factory",
    ];
    let keys = ENTRY_READS.into_iter().flat_map(|read_us| {
        let of_workers = move |workers| names.map(|name| (read_us, workers, name));
        [1, 2].into_iter().flat_map(of_workers)
    });
    keys.map(row).collect()
}

/// The workloads in the series of entries.
fn entry_workloads(series: &[&[Value]]) -> Rows {
    let [lines] = series else { return Rows::new() };
    let columns = [
        ("Executor", 1),
        ("Executor", 2),
        ("factory, handles", 1),
        ("factory, handles", 2),
        ("factory", 2),
    ];
    let row = |block: &str, read_us: f64| {
        let cell = |(name, workers): (&str, u64)| {
            let is_it = |line: &&Value| {
                text(line, "block") == block
                    && text(line, "entry") == name
                    && number(line, "read_us") == read_us
            };
            let line = of(lines, workers).into_iter().find(is_it);
            two(line.map_or(f64::NAN, |line| number(line, "against_alloy")))
        };
        [code(block), reads(read_us)].into_iter().chain(columns.map(cell)).collect()
    };
    let blocks = blocks_of(lines, |line| !is_real(line)).into_iter();
    blocks.flat_map(|block| ENTRY_READS.map(|read_us| row(block, read_us))).collect()
}

/// What one call of `sustain` measured, as a label.
fn load(line: &Value) -> String {
    let signed = number(line, "signed");
    let mut label = text(line, "load").to_owned();
    if signed > 0.0 {
        label += &format!(", {} signatures", grouped(signed));
    }
    if line.get("state_roots") == Some(&Value::Bool(false)) {
        label += ", no state roots";
    }
    label
}

fn sustained(series: &[&[Value]]) -> Rows {
    let row = |line: &Value| {
        let [braid, revm] = ["braid", "sequential"]
            .map(|who| number(line, &format!("{who}.transactions_per_second")));
        let of = |field: &str| number(line, &format!("braid.{field}"));
        vec![
            load(line),
            grouped(braid),
            grouped(revm),
            two(braid / revm),
            format!("{:.0}, {:.0} ms", of("latency_ms.p50"), of("latency_ms.p99")),
            format!("{:.0} MiB", of("most_memory") / f64::from(1 << 20)),
            format!("{:.4}", of("cpu_seconds_per_mgas")),
        ]
    };
    series.iter().flat_map(|lines| lines.iter()).map(row).collect()
}

fn sustained_stages(series: &[&[Value]]) -> Rows {
    let row = |line: &Value| {
        let all = number(line, "braid.seconds");
        let stages = [
            "executing",
            "receipts",
            "waiting_for_writer",
            "waiting_for_transactions",
            "preparing",
            "storing",
            "supplying",
        ];
        let share =
            |stage: &str| number(line, &format!("braid.stages_seconds.{stage}")) / all * 100.0;
        let mut row = vec![load(line)];
        row.extend(stages.map(|stage| format!("{:.0}", share(stage))));
        row
    };
    series.iter().flat_map(|lines| lines.iter()).map(row).collect()
}

/// Returns a filter for the real blocks of 1 ms and more. The series `real` decides which these are,
/// so that all tables count the same blocks.
fn is_long(real: &[Value]) -> impl Fn(&&Value) -> bool {
    let is_long = |line: &&Value| number(line, "seq_ms") >= 1.0;
    let names: Vec<&str> =
        of(real, 2).into_iter().filter(is_long).map(|line| text(line, "workload")).collect();
    move |line| names.contains(&text(line, "workload"))
}

/// First blocks of Cancun. Before it, lists are only compared, and blocks that have one run
/// sequentially.
const CANCUN: [(&str, u64); 3] =
    [("mainnet-", 19_426_587), ("holesky-", 894_733), ("sepolia-", 5_187_023)];

fn is_since_cancun(line: &Value) -> bool {
    CANCUN.iter().any(|(net, first)| {
        let number = text(line, "workload").strip_prefix(net).map(str::parse::<u64>);
        number.is_some_and(|number| number.is_ok_and(|number| number >= *first))
    })
}

fn with_list(series: &[&[Value]]) -> Rows {
    let [real, workloads, lists] = series else { return Rows::new() };
    let is_long = is_long(real);
    let (real, without, with) = (of(real, 2), of(workloads, 2), of(lists, 2));
    let quartiles = |lines: &[&Value]| {
        let all = spread(lines, "ratio");
        all.get(..4).unwrap_or_default().join(", ")
    };
    let counts = |line: &&Value| is_long(line) && is_since_cancun(line);
    let real: Vec<&Value> = real.into_iter().filter(counts).collect();
    let listed: Vec<&Value> = with.iter().copied().filter(counts).collect();
    let mut rows = vec![vec![
        format!("{} real blocks of 1 ms and more, since Cancun: slowest, quartiles", listed.len()),
        quartiles(&real),
        quartiles(&listed),
        two(median(&real, "cpu_ratio")),
        two(median(&listed, "cpu_ratio")),
    ]];
    for line in with {
        let name = text(line, "workload");
        if let Some(without) = same(&without, name) {
            rows.push(vec![
                code(name),
                two(number(without, "ratio")),
                format!("**{}**", two(number(line, "ratio"))),
                two(number(without, "cpu_ratio")),
                two(number(line, "cpu_ratio")),
            ]);
        }
    }
    rows
}

/// Time with a list that Braid makes, divided by the time without.
fn list_cost(series: &[&[Value]]) -> Rows {
    let [real, workloads, made] = series else { return Rows::new() };
    let cost = |name: &str, workers| {
        let without = [real, workloads].iter().find_map(|lines| same(&of(lines, workers), name));
        let with = same(&of(made, workers), name);
        without
            .zip(with)
            .map_or(f64::NAN, |(without, with)| number(without, "ratio") / number(with, "ratio"))
    };
    let (names, is_long): (Vec<&Value>, _) = (of(made, 1), is_long(real));
    let long = names.iter().copied().filter(|line| is_long(line));
    let real: Vec<&str> = long.map(|line| text(line, "workload")).collect();
    let mean = |workers| two(geometric(real.iter().map(|name| cost(name, workers))));
    let mut rows = vec![vec![
        format!("{} real blocks of 1 ms and more, geometric mean", real.len()),
        mean(1),
        mean(2),
    ]];
    for name in names.iter().map(|line| text(line, "workload")) {
        if workloads.iter().any(|line| text(line, "workload") == name) {
            rows.push(vec![code(name), two(cost(name, 1)), two(cost(name, 2))]);
        }
    }
    rows
}

fn busy(series: &[&[Value]]) -> Rows {
    let [busy, busier, idle] = series else { return Rows::new() };
    let labels = ["one process per core", "two processes per core", "none"];
    let is_long = is_long(idle);
    let row = |(label, lines): (&str, &&[Value])| {
        let lines: Vec<&Value> = of(lines, 2).into_iter().filter(&is_long).collect();
        let mut row = vec![label.to_owned()];
        row.extend(spread(&lines, "ratio").into_iter().take(4));
        row.extend([below(&lines, "ratio", 0.6), two(median(&lines, "cpu_ratio"))]);
        row
    };
    labels.into_iter().zip([busy, busier, idle]).map(row).collect()
}

/// One row for each value of a parameter, the others at their base values.
fn contention(series: &[&[Value]]) -> Rows {
    let [lines] = series else { return Rows::new() };
    let parameters = |line: &Value| {
        [text(line, "order"), text(line, "told_by"), text(line, "when")]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{} us", number(line, "us"))])
            .collect::<Vec<String>>()
    };
    let mut kinds: Vec<Vec<String>> = Vec::new();
    for line in *lines {
        let kind = parameters(line);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let cell = |kind: &Vec<String>, slots: f64| {
        let found =
            lines.iter().find(|line| number(line, "slots") == slots && parameters(line) == *kind);
        two(found.map_or(f64::NAN, |line| number(line, "learned")))
    };
    let row = |kind: &Vec<String>| {
        let slots = [1.0, 2.0, 4.0, 16.0, 40.0, 100.0, 300.0, 1_000.0];
        [kind.join(", ")].into_iter().chain(slots.map(|slots| cell(kind, slots))).collect()
    };
    kinds.iter().map(row).collect()
}

/// One row for each group of blocks, with the slowest of them by name.
fn odd(series: &[&[Value]]) -> Rows {
    let [lines] = series else { return Rows::new() };
    let mut groups: Vec<&str> = lines.iter().map(|line| text(line, "group")).collect();
    groups.dedup();
    let row = |group: &&str| {
        let of_group: Vec<&Value> =
            lines.iter().filter(|line| text(line, "group") == *group).collect();
        let slowest = |one: &&&Value, other: &&&Value| {
            number(one, "learned").total_cmp(&number(other, "learned"))
        };
        let slowest = of_group.iter().min_by(slowest).map_or("", |line| text(line, "row"));
        let lowest =
            |field| of_group.iter().map(|line| number(line, field)).fold(f64::INFINITY, f64::min);
        let lowest_and_median =
            |field| format!("{}, **{}**", two(lowest(field)), two(median(&of_group, field)));
        vec![
            (*group).to_owned(),
            of_group.len().to_string(),
            lowest_and_median("learned"),
            lowest_and_median("fresh"),
            two(median(&of_group, "cpu")),
            two(median(&of_group, "bound")),
            slowest.to_owned(),
        ]
    };
    groups.iter().map(row).collect()
}

fn real_blocks_virtual(series: &[&[Value]]) -> Rows {
    let [lines] = series else { return Rows::new() };
    let row = |workers: u64| {
        let all = of(lines, workers);
        let mean = |half: Option<&str>, field: &str| {
            let counted =
                all.iter().filter(|line| half.is_none_or(|half| text(line, "half") == half));
            two(geometric(counted.map(|line| number(line, field))))
        };
        let both = |half| format!("{}, {}", mean(half, "learned"), mean(half, "fresh"));
        vec![
            workers.to_string(),
            both(None),
            both(Some("tuning")),
            both(Some("held-out")),
            mean(None, "runs"),
            mean(None, "chain_bound"),
            mean(None, "longest_bound"),
        ]
    };
    [2, 4, 8, 16].map(row).to_vec()
}

fn with_list_virtual(series: &[&[Value]]) -> Rows {
    let [without, with] = series else { return Rows::new() };
    let row = |workers: u64| {
        let mean = |lines: &[Value], field: &str| {
            let lines = of(lines, workers).into_iter().filter(|line| is_since_cancun(line));
            two(geometric(lines.map(|line| number(line, field))))
        };
        vec![
            workers.to_string(),
            mean(without, "learned"),
            format!("**{}**", mean(with, "learned")),
            mean(with, "longest_bound"),
        ]
    };
    [2, 4, 8, 16].map(row).to_vec()
}

/// Aims for workloads on two workers.
const AIMS: [(&str, &str); 14] = [
    ("nft-game", "1.5"),
    ("supply-chain", "1.5"),
    ("lending", "1.4"),
    ("governance", "1.6"),
    ("g_hybrid", "1.4"),
    ("g_hybshuf", "1.5"),
    ("mixed", "1.8"),
    ("m_mainnet", "1.7"),
    ("stablecoin-batch", "1.9"),
    ("d_erc20hot", "1.3"),
    ("c_erc20", "not below 2.10"),
    ("e_uni", "not below 1.80"),
    ("a_raw", "not below 1.75"),
    ("f_unipool", "not below 1.08"),
];

fn aims(series: &[&[Value]]) -> Rows {
    let [seen, first, workloads, workloads_first, cost] = series else { return Rows::new() };
    let is_long = is_long(seen);
    let counted = |lines, workers| -> Vec<&Value> {
        of(lines, workers).into_iter().filter(&is_long).collect()
    };
    let quartiles =
        |lines: &[&Value]| spread(lines, "ratio").get(1..4).unwrap_or_default().join(", ");
    let both = counted(seen, 2);
    let of_bound = both.iter().map(|line| number(line, "ratio") / number(line, "bound_ratio"));
    let of_bound = quantile(of_bound.filter(|it| it.is_finite()), 0.5);
    let beyond = |workers, way: &str| {
        let line = cost.iter().find(|line| text(line, "workload") == "nft-game");
        let ways = line.and_then(|line| line.get("ways")).and_then(Value::as_array);
        let found = ways.into_iter().flatten().find(|it| {
            text(it, "way") == way && it.get("workers").and_then(Value::as_u64) == Some(workers)
        });
        found.map_or(f64::NAN, |it| number(it, "beyond_us"))
    };
    let mut rows: Rows = [
        [
            "real blocks of 1 ms and more, seen before: quartiles",
            &quartiles(&both),
            "1.30, **1.50**",
        ],
        ["the same, divided by the two unmerged halves: median", &two(of_bound), "1"],
        ["the same, first seen: quartiles", &quartiles(&counted(first, 2)), "**1.45**"],
        [
            "real blocks of 1 ms and more below 0.97: seen before, first seen",
            &format!(
                "{}, {}",
                below(&both, "ratio", 0.97),
                below(&counted(first, 2), "ratio", 0.97)
            ),
            "0",
        ],
        ["processor time, seen before: median", &two(median(&both, "cpu_ratio")), "1.25"],
        ["one worker, seen before: quartiles", &quartiles(&counted(seen, 1)), "1.00, **1.02**"],
        [
            "speculative call of `nft-game`: processor time beyond sequential revm",
            &format!("{:.1} us", beyond(2, "speculative")),
            "4 us",
        ],
        [
            "the same on one worker, beyond Braid's sequential path",
            &format!("{:.1} us", beyond(1, "speculative") - beyond(1, "sequential")),
            "1.5 us",
        ],
    ]
    .map(|row| row.map(str::to_owned).to_vec())
    .to_vec();
    let (seen, first) = (of(workloads, 2), of(workloads_first, 2));
    for (name, aim) in AIMS {
        let ratio =
            |lines: &[&Value]| two(same(lines, name).map_or(f64::NAN, |it| number(it, "ratio")));
        rows.push(vec![
            format!("`{name}`: seen before, first seen"),
            format!("{}, {}", ratio(&seen), ratio(&first)),
            aim.to_owned(),
        ]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(name: &str, workers: u64, milliseconds: f64, ratio: f64) -> Value {
        json!({
            "workload": name, "workers": workers, "seq_ms": milliseconds, "ratio": ratio,
            "cpu_ratio": 1.5, "bound_ratio": 1.8,
        })
    }

    #[test]
    fn real_blocks_are_told_apart_by_their_time() {
        let names = ["mainnet-1", "mainnet-2", "mainnet-3"];
        let times = [0.5, 1.0, 2.0];
        let lines = |ratio: f64| -> Vec<Value> {
            let of = |workers| {
                names
                    .iter()
                    .zip(times)
                    .map(move |(name, time)| line(name, workers, time, ratio * time))
            };
            of(1).chain(of(2)).collect()
        };
        let (seen, first) = (lines(1.0), lines(0.9));
        let long = real_blocks(&[&seen, &first], true);
        let expected = [
            "two workers, seen before",
            "2",
            "1.00",
            "1.25",
            "**1.50**",
            "1.75",
            "2.00",
            "1.50",
            "0",
        ];
        assert_eq!(long.first().map(|row| row.as_slice()), Some(&expected.map(str::to_owned)[..]));
        let short = real_blocks(&[&seen, &first], false);
        let cells = short.get(1).map(|row| (row[1].as_str(), row[2].as_str(), row[8].as_str()));
        assert_eq!(cells, Some(("1", "0.45", "1")));
    }

    #[test]
    fn a_list_costs_the_quotient_of_two_ratios() {
        let without = [line("mainnet-1", 1, 2.0, 1.2), line("mainnet-1", 2, 2.0, 1.5)];
        let workloads = [line("e_uni", 1, 2.0, 1.0), line("e_uni", 2, 2.0, 2.0)];
        let with: Vec<Value> = [line("mainnet-1", 1, 2.0, 1.0), line("mainnet-1", 2, 2.0, 1.0)]
            .into_iter()
            .chain([line("e_uni", 1, 2.0, 0.8), line("e_uni", 2, 2.0, 1.0)])
            .collect();
        let rows = list_cost(&[&without, &workloads, &with]);
        assert_eq!(rows.first().map(|row| row[1..].join(" ")).as_deref(), Some("1.20 1.50"));
        assert_eq!(rows.get(1).map(|row| row.join(" ")).as_deref(), Some("`e_uni` 1.25 2.00"));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!(
            [7.0, 999.4, 1_000.0, 1_234_567.0].map(grouped),
            ["7", "999", "1,000", "1,234,567"]
        );
        assert_eq!((two(1.005), two(f64::NAN)), ("1.00".to_owned(), "-".to_owned()));
    }
}
