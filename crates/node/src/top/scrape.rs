//! A scrape of a chain's metrics.

use std::{io::Read, time::Duration};
use thiserror::Error;
use ureq::Agent;

/// Time limit of a scrape.
const PATIENCE: Duration = Duration::from_secs(2);
/// Maximum size of a response in bytes, hundreds of times the normal size.
const MOST: u64 = 4 << 20;

/// A value, with the name and labels of its metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the metric, with its suffix.
    pub name: String,
    /// Labels, with their values.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// Parses a line of Prometheus' text format. Label values are names from this project, without
    /// escapes.
    fn parse(line: &str) -> Option<Self> {
        let (left, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let Some((name, labels)) = left.split_once('{') else {
            return Some(Self { name: left.to_owned(), labels: Vec::new(), value });
        };
        let label = |text: &str| {
            let (label, value) = text.split_once("=\"")?;
            Some((label.to_owned(), value.strip_suffix('"')?.to_owned()))
        };
        let labels = labels.strip_suffix('}')?.split(',').map(label).collect::<Option<_>>()?;
        Some(Self { name: name.to_owned(), labels, value })
    }

    /// Returns the value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

/// All samples of one scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape(pub Vec<Sample>);

impl Scrape {
    /// Parses Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// Returns [`ScrapeError::Line`], or [`ScrapeError::OtherServer`] if no metric of a chain is
    /// found.
    pub fn parse(text: &str) -> Result<Self, ScrapeError> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let sample = |line: &str| {
            Sample::parse(line).ok_or_else(|| ScrapeError::Line { line: line.to_owned() })
        };
        let all = Self(lines.map(sample).collect::<Result<_, _>>()?);
        match all.value("braid_blocks_total") {
            Some(_) => Ok(all),
            None => Err(ScrapeError::OtherServer),
        }
    }

    /// Returns the value of a sample without labels.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        let found = self.0.iter().find(|it| it.name == name && it.labels.is_empty());
        found.map(|sample| sample.value)
    }

    /// Returns the samples with this name.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }
}

/// Reason why a scrape failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScrapeError {
    /// The text is not an address.
    #[error("expected a port, or an address such as 127.0.0.1:9184, found {text:?}")]
    Address {
        /// The text that was given.
        text: String,
    },
    /// The server did not respond.
    #[error("{url}: {error}; is `braid-node run --metrics ADDR` running?")]
    Unreachable {
        /// URL of the metrics.
        url: String,
        /// Error of the request.
        error: String,
    },
    /// The response is not in the text format.
    #[error("expected a metric with its value, found {line:?}: is this the address of --metrics?")]
    Line {
        /// The line that cannot be parsed.
        line: String,
    },
    /// The metrics are not those of a chain.
    #[error("there are metrics, but not those of `braid-node run --metrics`: take its address")]
    OtherServer,
}

/// A server of metrics.
#[derive(Debug)]
pub struct Source {
    agent: Agent,
    url: String,
}

impl Source {
    /// Creates a source. `address` is a port of this machine, a host with a port, or a URL.
    ///
    /// # Errors
    /// Returns [`ScrapeError::Address`] if `address` has none of these forms.
    pub fn new(address: &str) -> Result<Self, ScrapeError> {
        let host = address.strip_prefix("http://").unwrap_or(address);
        let host = host.strip_suffix("/metrics").unwrap_or(host).trim_end_matches('/');
        let host = match host.parse::<u16>() {
            Ok(port) => format!("127.0.0.1:{port}"),
            Err(_) => host.to_owned(),
        };
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() || host.contains('/') {
            return Err(ScrapeError::Address { text: address.to_owned() });
        }
        let agent = Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
        Ok(Self { agent, url: format!("http://{host}/metrics") })
    }

    /// Returns the URL of the metrics.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Scrapes the metrics.
    ///
    /// # Errors
    /// Returns a [`ScrapeError`] if the server does not respond, or the metrics cannot be used.
    pub fn look(&self) -> Result<Scrape, ScrapeError> {
        let unreachable = |error: String| ScrapeError::Unreachable { url: self.url.clone(), error };
        let answer = self.agent.get(&self.url).call();
        let mut answer = answer.map_err(|error| unreachable(error.to_string()))?;
        let mut text = String::new();
        let read = answer.body_mut().as_reader().take(MOST).read_to_string(&mut text);
        read.map_err(|error| unreachable(error.to_string()))?;
        Scrape::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Scrape, ScrapeError, Source};

    #[test]
    fn samples_have_names_labels_and_values() {
        let text = "# HELP x X.\nbraid_blocks_total 3\nx{a=\"b\",c=\"+Inf\"} 1.5\n";
        let scrape = Scrape::parse(text).unwrap();
        assert_eq!(scrape.value("braid_blocks_total"), Some(3.0));
        let sample = scrape.all("x").next().unwrap();
        assert_eq!(
            (sample.label("a"), sample.label("c"), sample.value),
            (Some("b"), Some("+Inf"), 1.5)
        );
        assert_eq!(scrape.value("x"), None);
    }

    #[test]
    fn what_is_not_of_a_chain_is_refused() {
        assert!(matches!(Scrape::parse("<html>"), Err(ScrapeError::Line { .. })));
        assert!(matches!(Scrape::parse("up 1\n"), Err(ScrapeError::OtherServer)));
        assert!(matches!(Scrape::parse(""), Err(ScrapeError::OtherServer)));
        assert!(matches!(Scrape::parse("x{a=1} 2\n"), Err(ScrapeError::Line { .. })));
    }

    #[test]
    fn an_address_is_a_port_a_host_with_a_port_or_a_url() {
        for (text, url) in [
            ("9184", "http://127.0.0.1:9184/metrics"),
            ("node:1", "http://node:1/metrics"),
            ("http://[::1]:1/metrics", "http://[::1]:1/metrics"),
        ] {
            assert_eq!(Source::new(text).unwrap().url(), url);
        }
        for text in ["node", "70000", "http://node:1/other", ""] {
            assert!(matches!(Source::new(text), Err(ScrapeError::Address { .. })), "{text}");
        }
    }
}
