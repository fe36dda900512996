//! Medians and quantiles.

use core::time::Duration;

/// Returns the quantiles of `values` at `parts`, from 0 (minimum) to 1 (maximum), with linear
/// interpolation; `None` without values.
#[must_use]
pub fn quantiles<const N: usize>(mut values: Vec<f64>, parts: [f64; N]) -> Option<[f64; N]> {
    let last = values.len().checked_sub(1)?;
    values.sort_unstable_by(f64::total_cmp);
    Some(parts.map(|part| {
        let place = part.clamp(0.0, 1.0) * last as f64;
        let [lower, upper] = [place.floor(), place.ceil()].map(|at| values[at as usize]);
        lower + (upper - lower) * place.fract()
    }))
}

/// Returns the median; for an even number of values, the mean of the two in the middle.
#[must_use]
pub fn median(values: Vec<f64>) -> Option<f64> {
    quantiles(values, [0.5]).map(|[median]| median)
}

/// Returns the median of `times`; 0 without times.
pub fn median_time(times: impl Iterator<Item = Duration>) -> Duration {
    let seconds = median(times.map(|time| time.as_secs_f64()).collect());
    seconds.map_or(Duration::ZERO, Duration::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        let values = vec![4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantiles(values.clone(), [0.0, 0.25, 1.0]), Some([1.0, 1.75, 4.0]));
        assert_eq!(median(values), Some(2.5));
        assert_eq!(median(vec![7.0]), Some(7.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn medians_of_times_are_exact() {
        let median = |nanos: &[u64]| median_time(nanos.iter().copied().map(Duration::from_nanos));
        assert_eq!(median(&[9, 1_234_567_891, 7_000_000_001]), Duration::from_nanos(1_234_567_891));
        assert_eq!(median(&[2, 4]), Duration::from_nanos(3));
        assert_eq!(median(&[]), Duration::ZERO);
    }
}
