//! Envoy's counters, as `/stats/prometheus` shows them.

/// One scrape.
pub struct Stats(String);

impl Stats {
    /// Wraps a scrape's text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The sum of the series of this name that carry every one of these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        self.0
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| {
                let (found, rest) = series.split_once('{').unwrap_or((series, ""));
                found == name && wanted.iter().all(|label| rest.contains(label.as_str()))
            })
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_series_of_one_name() {
        let stats = Stats::new(
            "# TYPE waf_fail counter\nwaf_fail{reason=\"timeout\"} 2\nwaf_fail{reason=\"connect\"} 3\nwaf_fails{} 9\n"
                .to_owned(),
        );
        assert_eq!(stats.sum("waf_fail", &[]), 5.0);
        assert_eq!(stats.sum("waf_fail", &[("reason", "timeout")]), 2.0);
        assert_eq!(stats.sum("waf", &[]), 0.0);
    }
}
