//! Figures as tables of a page.

use super::report::{Conditions, Report, optional, stages};
use crate::bench::{Figures, Simulated};
use std::io::{self, Write};

/// Prints the tables of docs/BENCHMARKS.md when all is measured: ratios, stages, virtual time.
#[derive(Debug)]
pub(super) struct Markdown {
    conditions: Conditions,
    all: Vec<Figures>,
}

impl Markdown {
    pub(super) const fn new(conditions: Conditions) -> Self {
        Self { conditions, all: Vec::new() }
    }
}

impl Report for Markdown {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn line(&mut self, figures: &Figures) -> io::Result<()> {
        self.all.push(figures.clone());
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "Conditions: {}.\n", self.conditions)?;
        self.ratios(&mut out)?;
        self.stages(&mut out)?;
        self.simulated(&mut out)?;
        out.flush()
    }
}

impl Markdown {
    fn ratios(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "| block | workers | txs | seq us/tx | **ratio** | cpu | journal | bound | ceiling | discarded | \
             memory, MiB: seq / here | Mgas/s | txs/s | spread |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
        )?;
        for figures in &self.all {
            let memory = figures.memory.map_or("-".to_owned(), |bytes| {
                let [sequential, parallel] = bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
                format!("{sequential:.1} / {parallel:.1}")
            });
            writeln!(
                out,
                "| {} | {} | {} | {:.2} | **{:.2}** | {:.2} | {} | {} | {} | {:.1} % | {memory} | {:.0} \
                 | {:.0} | {:.0} % |",
                figures.workload,
                figures.workers,
                figures.transactions,
                figures.sequential_micros(),
                figures.ratio(),
                figures.cpu_ratio(),
                optional(figures.journal_ratio()),
                optional(figures.bound_ratio()),
                optional(figures.ceiling()),
                figures.discarded_share() * 100.0,
                figures.mgas_per_second(),
                figures.transactions_per_second(),
                figures.parallel.spread() * 100.0,
            )?;
        }
        writeln!(out)
    }

    fn stages(&self, out: &mut impl Write) -> io::Result<()> {
        let mut names = Vec::new();
        for figures in &self.all {
            let Some(stages) = stages(figures) else { continue };
            if names.is_empty() {
                names.extend(stages.iter().map(|(name, _)| *name));
                writeln!(out, "| us/tx | workers | {} |", names.join(" | "))?;
                writeln!(out, "|---|---|{}", "---|".repeat(names.len()))?;
            }
            let times: Vec<String> = stages.iter().map(|(_, time)| format!("{time:.2}")).collect();
            writeln!(
                out,
                "| {} | {} | {} |",
                figures.workload,
                figures.workers,
                times.join(" | ")
            )?;
        }
        writeln!(out)
    }

    fn simulated(&self, out: &mut impl Write) -> io::Result<()> {
        let mut begun = false;
        for figures in &self.all {
            let Some((all, bounds)) = &figures.simulated else { continue };
            if !begun {
                let heads: Vec<String> = all.iter().map(|one| format!("{}", one.workers)).collect();
                writeln!(
                    out,
                    "| simulated ratio | workers | really | here | {} | work/chain |",
                    heads.join(" | ")
                )?;
                writeln!(out, "|---|---|---|---|{}---|", "---|".repeat(heads.len()))?;
                begun = true;
            }
            let one = |one: &Simulated| format!("{:.2}", one.ratio());
            let here = figures.simulated_here();
            let ratios: Vec<String> = all.iter().map(one).collect();
            writeln!(
                out,
                "| {} | {} | {:.2} | {} | {} | {:.1} |",
                figures.workload,
                figures.workers,
                figures.ratio(),
                here.map_or_else(|| "-".to_owned(), |here| format!("{here:.2}")),
                ratios.join(" | "),
                bounds.ratio(u16::MAX)
            )?;
        }
        Ok(())
    }
}
