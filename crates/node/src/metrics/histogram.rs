//! Histograms.

use super::text::Text;

/// Upper bounds of the buckets for times, in seconds.
pub(super) const SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// A histogram with `N` buckets. The caller supplies their upper bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Histogram<const N: usize> {
    /// Number of values up to each bound and above the previous one.
    counts: [u64; N],
    count: u64,
    sum: f64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { counts: [0; N], count: 0, sum: 0.0 }
    }
}

impl<const N: usize> Histogram<N> {
    pub(super) fn add(&mut self, bounds: &[f64; N], value: f64) {
        let bucket = bounds.iter().position(|bound| value <= *bound);
        if let Some(count) = bucket.and_then(|index| self.counts.get_mut(index)) {
            *count = count.saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
        self.sum += value;
    }

    pub(super) fn write(&self, text: &mut Text, name: &str, help: &str, bounds: &[f64; N]) {
        text.family(name, "histogram", help);
        let mut below = 0_u64;
        for (bound, count) in bounds.iter().zip(self.counts) {
            below = below.saturating_add(count);
            text.sample(&format!("{name}_bucket"), &[("le", &bound.to_string())], below);
        }
        text.sample(&format!("{name}_bucket"), &[("le", "+Inf")], self.count);
        text.sample(&format!("{name}_sum"), &[], self.sum);
        text.sample(&format!("{name}_count"), &[], self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::{Histogram, Text};

    const LENGTHS: [f64; 3] = [1.0, 4.0, 65536.0];

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let mut histogram = Histogram::default();
        for value in [1.0, 2.0, 4.0, 5.0, 1e9] {
            histogram.add(&LENGTHS, value);
        }
        let mut text = Text::default();
        histogram.write(&mut text, "x", "X.", &LENGTHS);
        let text = text.end();
        for line in ["x_bucket{le=\"1\"} 1", "x_bucket{le=\"4\"} 3", "x_bucket{le=\"65536\"} 4"] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
        assert!(text.contains("x_bucket{le=\"+Inf\"} 5\n") && text.contains("x_count 5\n"));
    }
}
