//! A scrape in Prometheus text, to be asked for single values.

/// The text of one scrape.
pub struct Metrics(String);

impl Metrics {
    /// Takes the text as it was scraped.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The sum over all series of this name that carry all these labels. `None` where there is no such series.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.0.lines().filter_map(|line| series(line, name, labels));
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

fn series(line: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (inside, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once('}')?,
        None => ("", rest),
    };
    if !value.starts_with(' ') {
        return None;
    }
    let carries = |(label, value): &(&str, &str)| {
        inside.split(',').any(|pair| pair == format!("{label}=\"{value}\""))
    };
    if !labels.iter().all(carries) {
        return None;
    }
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn series_are_chosen_by_name_and_labels_and_summed() {
        let text = "# TYPE calls counter\n\
            calls_total{method=\"Decrypt\",code=\"Ok\"} 3\n\
            calls_total{method=\"Decrypt\",code=\"NotFound\"} 2\n\
            calls_total_created{method=\"Decrypt\"} 9\n\
            generation 7 1700000000\n";
        let metrics = Metrics::new(text.to_owned());
        assert_eq!(metrics.sum("calls_total", &[]), Some(5.0));
        assert_eq!(metrics.sum("calls_total", &[("code", "Ok")]), Some(3.0));
        assert_eq!(metrics.sum("calls_total", &[("code", "Ok"), ("method", "Status")]), None);
        assert_eq!(metrics.sum("generation", &[]), Some(7.0));
        assert_eq!(metrics.sum("calls", &[]), None);
    }
}
