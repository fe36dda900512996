//! `braid-node top`: shows a running chain on a terminal.

use crate::top::{Figures, Scrape, ScrapeError, Source, View, draw};
use braid_terminal::{End, Stop, message, pause_from};
use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use std::{
    io::{self, IsTerminal, Write},
    thread::sleep,
    time::{Duration, Instant},
};

const EXAMPLES: &str = "\
Examples:
  braid-node run --metrics 9184 chain/ -           in one terminal
  braid-node top                                   in another terminal: port 9184 of this machine
  braid-node top node:9184 --interval 5s
  braid-node top --once                            figures of one second, as text
  braid-node top --json 9184 | jq .mgas_per_second  one line per second

q, Esc or Ctrl-C quits. If the output is not a terminal, the command prints one table, as with --once.

Exit code: 0; 2 if nothing answers at the address.";

/// Watch a running chain: rates, how transactions run and why, what is aborted, store and caches
///
/// Reads the metrics that `braid-node run --metrics ADDR` serves, once per interval. Each figure covers the last
/// interval.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TopArgs {
    /// A port of this machine, a host with a port, or a URL
    #[arg(default_value = "9184")]
    address: String,
    /// Time between two readings, with its unit
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval_from)]
    interval: Duration,
    /// Print the figures of one interval and exit
    #[arg(long)]
    once: bool,
    /// Print one JSON object for each interval
    #[arg(long)]
    json: bool,
}

/// Shortest permitted interval: a scrape takes about a millisecond of the chain's process.
const SHORTEST: Duration = Duration::from_millis(100);

fn interval_from(text: &str) -> Result<Duration, String> {
    match pause_from(text)? {
        time if time < SHORTEST => Err("expected 100ms or more".to_owned()),
        time => Ok(time),
    }
}

/// Scrapes a chain repeatedly.
struct Looks {
    source: Source,
    before: Option<(Scrape, Instant)>,
}

impl Looks {
    /// Scrapes again. Returns `None` the first time, as figures need two scrapes.
    fn next(&mut self) -> Result<Option<Figures>, ScrapeError> {
        let scrape = self.source.look()?;
        let now = Instant::now();
        let figures = self.before.as_ref().map(|(before, at)| {
            Figures::between(before, &scrape, now.saturating_duration_since(*at))
        });
        self.before = Some((scrape, now));
        Ok(figures)
    }
}

pub(super) fn top(args: &TopArgs) -> Result<End, Stop> {
    let source = Source::new(&args.address).map_err(message)?;
    let mut looks = Looks { source, before: None };
    // A wrong address is reported before anything is drawn.
    looks.next().map_err(message)?;
    if args.json || args.once || !io::stdout().is_terminal() {
        return print(args, &mut looks);
    }
    let mut terminal = ratatui::try_init()?;
    let ended = watch(&mut terminal, &mut looks, args.interval);
    ratatui::restore();
    ended.map(|()| End::Right).map_err(Stop::from)
}

fn print(args: &TopArgs, looks: &mut Looks) -> Result<End, Stop> {
    loop {
        sleep(args.interval);
        let Some(figures) = looks.next().map_err(message)? else { continue };
        let mut out = io::stdout().lock();
        if args.json {
            let line = serde_json::to_string(&figures).map_err(io::Error::from)?;
            writeln!(out, "{line}")?;
        } else {
            for (name, value) in figures.lines() {
                writeln!(out, "{name:<24}{value}")?;
            }
            for (title, shares) in [("ran", &figures.strategies), ("why", &figures.reasons)] {
                for share in shares {
                    writeln!(out, "{title:<24}{} {:.1} %", share.name, 100.0 * share.share)?;
                }
            }
        }
        out.flush()?;
        if args.once || !args.json {
            return Ok(End::Right);
        }
    }
}

/// Draws until a key ends the command.
fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    looks: &mut Looks,
    interval: Duration,
) -> io::Result<()> {
    let mut view = View::new(looks.source.url().to_owned());
    let mut next = Instant::now() + interval;
    loop {
        terminal.draw(|frame| draw(frame, &view))?;
        if event::poll(next.saturating_duration_since(Instant::now()))? {
            if ends(&event::read()?) {
                return Ok(());
            }
            continue;
        }
        next = Instant::now() + interval;
        match looks.next() {
            Ok(figures) => figures.into_iter().for_each(|figures| view.show(figures)),
            Err(error) => view.fail(error.to_string()),
        }
    }
}

fn ends(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let is_interrupt = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release
        && match key.code {
            KeyCode::Char('q') | KeyCode::Esc => true,
            KeyCode::Char('c') => is_interrupt,
            _ => false,
        }
}
