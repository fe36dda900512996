//! Values of options: addresses, numbers and times.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Parses a port of the loopback interface, `localhost` with a port, or an address with a port.
pub(super) fn address_from(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    if let Ok(port) = port.parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let expected =
        || format!("expected a port, or an address such as 127.0.0.1:8545, found {text:?}");
    text.parse().map_err(|_| expected())
}

/// Parses a number from 1 on.
pub(super) fn count_from(text: &str) -> Result<usize, String> {
    match text.parse::<u32>() {
        Ok(count @ 1..) => usize::try_from(count).map_err(|error| error.to_string()),
        _ => Err(format!("expected a number from 1 on, found {text:?}")),
    }
}

/// Which blocks are kept with transactions and receipts, counted from the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HistoryLimit {
    /// Maximum number of blocks.
    pub(super) blocks: u64,
    /// Maximum size of blocks and receipts, in bytes.
    pub(super) bytes: u64,
}

impl HistoryLimit {
    /// All blocks.
    pub(super) const ALL: Self = Self { blocks: u64::MAX, bytes: u64::MAX };

    /// Whether the size is limited, not the number.
    pub(super) const fn is_size(self) -> bool {
        self.bytes < u64::MAX
    }
}

/// Parses a number of blocks from 1 on, a size with a unit, or "all".
pub(super) fn history_from(text: &str) -> Result<HistoryLimit, String> {
    if let Ok(blocks @ 1..) = text.parse() {
        return Ok(HistoryLimit { blocks, ..HistoryLimit::ALL });
    }
    let size = || {
        let end = text.find(|it: char| !it.is_ascii_digit())?;
        let (number, unit) = text.split_at(end);
        let unit = match unit {
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return None,
        };
        let bytes = number.parse::<u64>().ok()?.checked_mul(unit)?;
        Some(bytes).filter(|bytes| (1..u64::MAX).contains(bytes))
    };
    match size() {
        Some(bytes) => Ok(HistoryLimit { bytes, ..HistoryLimit::ALL }),
        None if text == "all" => Ok(HistoryLimit::ALL),
        None => Err(format!(
            "expected a number of blocks, a size such as 500MiB or 20GiB, or \"all\", found {text:?}"
        )),
    }
}

/// Parses a time with a unit: ms, s or m.
pub(super) fn time_from(text: &str) -> Result<Duration, String> {
    time(text, None)
}

/// Parses a time, which is in seconds if it has no unit.
pub(super) fn seconds_from(text: &str) -> Result<Duration, String> {
    time(text, Some("s"))
}

/// Parses a time of whole seconds, without or with a unit.
pub(super) fn whole_seconds_from(text: &str) -> Result<Duration, String> {
    let time = seconds_from(text)?;
    match time.subsec_nanos() {
        0 => Ok(time),
        _ => Err(format!("blocks have times in whole seconds, found {text:?}")),
    }
}

/// Parses a time, which is in milliseconds if it has no unit. It may be zero.
pub(super) fn pause_from(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { time(text, Some("ms")) }
}

/// Maximum time in seconds: a thousand days.
const MOST: f64 = 86_400_000.0;

fn time(text: &str, default: Option<&str>) -> Result<Duration, String> {
    let end = text.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = if unit.is_empty() { default.unwrap_or_default() } else { unit };
    let seconds = match unit {
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        _ => None,
    };
    let seconds = seconds.zip(number.parse::<f64>().ok()).map(|(unit, number)| unit * number);
    let seconds = seconds.filter(|seconds| (1e-3..MOST).contains(seconds));
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| format!("expected a time such as 500ms, 2s or 5m, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_some_have_a_default_unit() {
        let ms = Duration::from_millis;
        for (text, time) in [("500ms", 500), ("2s", 2_000), ("1.5s", 1_500), ("5m", 300_000)] {
            for parse in [time_from, seconds_from, pause_from] {
                assert_eq!(parse(text), Ok(ms(time)), "{text}");
            }
        }
        assert_eq!([seconds_from("2"), seconds_from("0.25")], [Ok(ms(2_000)), Ok(ms(250))]);
        assert_eq!([pause_from("50"), pause_from("0")], [Ok(ms(50)), Ok(Duration::ZERO)]);
        for text in ["", "s", "-1s", "1h", "nan", "inf", "1e9s", "0s", "99999999999m", "1..2s"] {
            time_from(text).expect_err(text);
        }
        time_from("5").expect_err("no unit");
        seconds_from("0").expect_err("no time");
    }

    #[test]
    fn a_history_is_a_number_of_blocks_or_a_size() {
        let limit = |blocks, bytes| Ok(HistoryLimit { blocks, bytes });
        assert_eq!(history_from("4096"), limit(4_096, u64::MAX));
        assert_eq!(history_from("all"), Ok(HistoryLimit::ALL));
        for (text, bytes) in [("1KiB", 1 << 10), ("500MiB", 500 << 20), ("20GiB", 20 << 30)] {
            assert_eq!(history_from(text), limit(u64::MAX, bytes));
        }
        assert_eq!(history_from("2TiB"), limit(u64::MAX, 2 << 40));
        for text in ["", "0", "0GiB", "-1", "GiB", "1.5GiB", "20 GiB", "20GB", "99999999TiB"] {
            history_from(text).expect_err(text);
        }
    }

    #[test]
    fn addresses_may_be_ports_and_names_of_this_machine() {
        let local = |port| Ok(SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!([address_from("80"), address_from("localhost:81")], [local(80), local(81)]);
        assert_eq!(address_from("127.0.0.1:82"), local(82));
        assert_eq!(address_from("[::]:8545").map(|it| it.port()), Ok(8_545));
        for text in ["", "localhost", "localhost:", "node:80", "65536"] {
            address_from(text).expect_err(text);
        }
    }
}
