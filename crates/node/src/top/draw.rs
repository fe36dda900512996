//! Drawing on a terminal.

use super::figures::{Figures, Share};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    text::Line,
    widgets::{Block, Gauge, Paragraph, Row, Sparkline, Table},
};

/// Maximum number of samples in the chart: the widest terminals have about as many columns.
const PAST: usize = 512;

/// State of the display.
#[derive(Debug, Default)]
pub struct View {
    /// URL of the metrics.
    pub url: String,
    figures: Option<Figures>,
    /// Gas per second, in thousands, one value per sample, oldest first.
    past: Vec<u64>,
    /// Error of the last scrape, if it failed.
    failed: Option<String>,
}

impl View {
    /// Creates a display without figures.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self { url, ..Self::default() }
    }

    /// Shows new figures.
    pub fn show(&mut self, figures: Figures) {
        // Saturating the conversion is harmless: rates are neither negative nor that high.
        self.past.push((1e3 * figures.mgas_per_second) as u64);
        let old = self.past.len().saturating_sub(PAST);
        self.past.drain(..old);
        (self.figures, self.failed) = (Some(figures), None);
    }

    /// Shows an error of the last scrape; the previous figures stay.
    pub fn fail(&mut self, why: String) {
        self.failed = Some(why);
    }
}

/// Draws the display on the whole frame.
pub fn draw(frame: &mut Frame<'_>, view: &View) {
    let rows = [Constraint::Length(1), Constraint::Length(6), Constraint::Min(4)];
    let [head, past, rest] = Layout::vertical(rows).areas(frame.area());
    let title = match &view.failed {
        Some(why) => Line::from(format!(" {why}")).red(),
        None => Line::from(format!(" braid-node top  {}  q: quit", view.url)).bold(),
    };
    frame.render_widget(Paragraph::new(title), head);
    draw_past(frame, past, view);
    let Some(figures) = &view.figures else {
        return frame.render_widget(Paragraph::new(" waiting for the second look"), rest);
    };
    let columns = [Constraint::Percentage(50), Constraint::Percentage(50)];
    let [left, right] = Layout::horizontal(columns).areas(rest);
    let rows = figures.lines().into_iter().map(|(name, value)| Row::new([name.to_owned(), value]));
    let widths = [Constraint::Length(22), Constraint::Min(8)];
    frame.render_widget(Table::new(rows, widths).block(Block::bordered().title(" chain ")), left);
    let halves = [Constraint::Percentage(50), Constraint::Percentage(50)];
    let [upper, lower] = Layout::vertical(halves).areas(right);
    draw_shares(frame, upper, " how transactions ran ", &figures.strategies);
    draw_shares(frame, lower, " why ", &figures.reasons);
}

fn draw_past(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let newest = view.figures.as_ref().map_or(0.0, |it| it.mgas_per_second);
    let block = Block::bordered().title(format!(" {newest:.1} Mgas/s "));
    let width = usize::from(block.inner(area).width);
    let shown = view.past.get(view.past.len().saturating_sub(width)..).unwrap_or_default();
    let line = Sparkline::default().data(shown).style(Style::new().fg(Color::Cyan));
    frame.render_widget(line.block(block), area);
}

/// Draws a bar for each share, as many as fit.
fn draw_shares(frame: &mut Frame<'_>, area: Rect, title: &str, shares: &[Share]) {
    let block = Block::bordered().title(title.to_owned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let rows = inner.rows().zip(shares);
    for (row, Share { name, share }) in rows {
        let label = format!("{name} {:.0} %", 100.0 * share);
        let gauge = Gauge::default().ratio(share.clamp(0.0, 1.0)).label(label);
        frame.render_widget(gauge.gauge_style(Style::new().fg(Color::Blue)), row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::{Terminal, backend::TestBackend};

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        terminal.backend().to_string()
    }

    fn figures() -> Figures {
        let share = |name: &str, share| Share { name: name.to_owned(), share };
        Figures {
            head: Some(7.0),
            mgas_per_second: 12.34,
            strategies: vec![share("ContiguousBatches", 0.75), share("Sequential", 0.25)],
            reasons: vec![share("OneSender", 0.25)],
            ..Figures::default()
        }
    }

    #[test]
    fn a_view_has_what_the_figures_say() {
        let mut view = View::new("http://x/metrics".to_owned());
        assert!(drawn(&view, 80, 30).contains("waiting"));
        view.show(figures());
        let text = drawn(&view, 80, 30);
        for wanted in [
            "http://x/metrics",
            "12.3 Mgas/s",
            "ContiguousBatches 75 %",
            "OneSender 25 %",
            "head, durable",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        view.fail("gone".to_owned());
        let text = drawn(&view, 80, 30);
        assert!(text.contains("gone") && text.contains("ContiguousBatches 75 %"), "{text}");
        view.show(figures());
        assert!(!drawn(&view, 80, 30).contains("gone"));
    }

    #[test]
    fn no_terminal_is_too_small_and_no_past_too_long() {
        let mut view = View::new(String::new());
        for _ in 0..2 * PAST {
            view.show(figures());
        }
        assert_eq!(view.past.len(), PAST);
        for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 80)] {
            drawn(&view, width, height);
        }
    }
}
