//! Prometheus' text format.

use std::fmt::{Display, Write};

/// Metrics in the text format.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Writes the header of a metric, before its samples.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// Writes a sample. Label values are names from this project, which need no escaping.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    pub(super) fn end(self) -> String {
        self.0
    }

    fn line(&mut self, line: impl Display) {
        // Writing into memory does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}
