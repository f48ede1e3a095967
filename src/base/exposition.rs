//! Prometheus' text form of metrics (version 0.0.4), read: samples with their labels, counters that
//! start again, histograms with the quantiles that Prometheus estimates from their buckets. Pure.
//! Imports: nothing.

use std::borrow::Cow;

/// One series with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'t> {
    /// The name of the series: of a histogram, with `_bucket`, `_sum` or `_count`.
    pub name: &'t str,
    labels: Vec<(&'t str, Cow<'t, str>)>,
    /// Its value.
    pub value: f64,
}

impl Sample<'_> {
    /// Returns the value of a label, empty if there is none.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Returns the samples of a text; lines that are none are passed over.
pub fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter_map(sample)
}

/// Returns by how much a counter grew. One that is smaller than before began anew with its process,
/// and what it counts now came since.
#[must_use]
pub fn increase(earlier: f64, later: f64) -> f64 {
    if later < earlier {
        later
    } else {
        later - earlier
    }
}

/// Observations, counted by how large they were. Series that are added must have the same buckets, as
/// all of one family do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper ends, ascending, each with the number of observations up to it.
    buckets: Vec<(f64, f64)>,
    sum: f64,
}

impl Histogram {
    /// Adds a sample, if it is one of the histogram called `family`.
    pub fn add(&mut self, family: &str, sample: &Sample<'_>) {
        match sample.name.strip_prefix(family) {
            Some("_sum") => self.sum += sample.value,
            Some("_bucket") => {
                let end = number(sample.label("le"));
                if let Some(end) = end.filter(|end| !end.is_nan()) {
                    self.add_bucket(end, sample.value);
                }
            }
            // The last bucket says the same as `_count`.
            Some(_) | None => {}
        }
    }

    /// Adds what another one observed, which has the same buckets or none.
    pub fn join(&mut self, other: &Self) {
        self.sum += other.sum;
        for &(end, count) in &other.buckets {
            self.add_bucket(end, count);
        }
    }

    fn add_bucket(&mut self, end: f64, count: f64) {
        match self.place(end) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (end, count)),
        }
    }

    fn place(&self, end: f64) -> Result<usize, usize> {
        self.buckets
            .binary_search_by(|(known, _)| known.total_cmp(&end))
    }

    /// Returns the number of observations.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// Returns what was observed since `earlier`; all, if the process began anew meanwhile.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        if self.count() < earlier.count() {
            return self.clone();
        }
        let before = |end: f64| {
            let place = earlier.place(end);
            place.map_or(0.0, |at| earlier.buckets[at].1)
        };
        let buckets = self.buckets.iter();
        Self {
            buckets: buckets.map(|&(end, n)| (end, n - before(end))).collect(),
            sum: self.sum - earlier.sum,
        }
    }

    /// Returns the mean of all observations; `None` without any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (0.0 < count).then(|| self.sum / count)
    }

    /// Returns which share of the observations was at most `end`, the upper end of a bucket; `None`
    /// without observations or such a bucket.
    #[must_use]
    pub fn share_up_to(&self, end: f64) -> Option<f64> {
        let count = self.count();
        let bucket = self.buckets.iter().find(|(known, _)| *known == end)?;
        (0.0 < count).then(|| bucket.1 / count)
    }

    /// Returns the value that the share `q` of the observations does not exceed, as Prometheus'
    /// `histogram_quantile` estimates it: evenly spread within a bucket, the first of which begins at
    /// 0; of the last bucket no more is known than where it begins. `None` without observations.
    ///
    /// Source: `BucketQuantile` in Prometheus' promql/quantile.go.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (last, finite) = self.buckets.split_last()?;
        let total = last.1;
        if !(0.0 < total && last.0 == f64::INFINITY && (0.0..=1.0).contains(&q)) {
            return None;
        }
        let rank = q * total;
        // Series that are read one after another may disagree by an observation; counts only grow.
        let (mut begin, mut below) = (0.0, 0.0_f64);
        for (i, &(end, upto)) in finite.iter().enumerate() {
            let upto = upto.max(below);
            if rank <= upto {
                if i == 0 && end <= 0.0 {
                    return Some(end);
                }
                let inside = upto - below;
                let part = (rank - below) / inside;
                return Some(if inside <= 0.0 {
                    begin
                } else {
                    begin + (end - begin) * part
                });
            }
            (begin, below) = (end, upto);
        }
        finite.last().map(|(end, _)| *end)
    }
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // A time may follow the value.
    let value = number(rest.split_whitespace().next()?)?;
    Some(Sample {
        name,
        labels,
        value,
    })
}

/// Reads a number as Go writes it.
fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

/// Labels with their values, and what follows them.
type Labels<'t> = (Vec<(&'t str, Cow<'t, str>)>, &'t str);

/// Reads `name="value",…}` and returns what follows.
fn labels(mut rest: &str) -> Option<Labels<'_>> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, text) = rest.split_once("=\"")?;
        let (value, after) = quoted(text)?;
        labels.push((name.trim(), value));
        rest = after;
    }
}

/// Reads up to the closing quote, and returns what follows it.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let plain = text.find(['"', '\\'])?;
    if text[plain..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..plain]), &text[plain + 1..]));
    }
    let mut value = text[..plain].to_owned();
    let mut chars = text[plain..].char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((Cow::Owned(value), &text[plain + at + 1..])),
            (_, '\\') => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            (_, other) => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_prometheus_writes_is_read_and_all_else_passed_over() {
        let text = "# HELP a b\n# TYPE a counter\na 3\n\
            b{x=\"1\",y=\"q\\\"} \\\\ \\n\"} 2.5 1700000000\n\
            h_bucket{le=\"+Inf\"} 7\nweird{\nweird{x=\"\nno value\nx NaN\n";
        let found: Vec<_> = samples(text).collect();
        assert_eq!(found.len(), 4);
        assert_eq!((found[0].name, found[0].value), ("a", 3.0));
        assert_eq!(found[1].label("y"), "q\"} \\ \n");
        assert_eq!((found[1].label("z"), found[1].value), ("", 2.5));
        assert_eq!(found[2].label("le"), "+Inf");
        assert!(found[3].value.is_nan());
    }

    proptest! {
        #[test]
        fn any_label_comes_back(value in "\\PC{0,20}|[\\\\\"\n{},= ]{0,12}", other in "[a-z{}\\\\\"]{0,8}") {
            let escaped = |text: &str| {
                text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
            };
            let line = format!("a{{x=\"{}\",y=\"{}\"}} 1\n", escaped(&value), escaped(&other));
            let found: Vec<_> = samples(&line).collect();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].label("x"), value);
            prop_assert_eq!(found[0].label("y"), other);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z_{}\\\\\"=, \n0-9+INnaf#é-]{0,80}") {
            let mut histogram = Histogram::default();
            for sample in samples(&text) {
                histogram.add("a", &sample);
            }
            let _ = (histogram.quantile(0.5), histogram.mean(), histogram.since(&histogram));
        }

        #[test]
        fn quantiles_rise_and_stay_within_the_buckets(counts in prop::collection::vec(0_u32..50, 2..8)) {
            let mut histogram = Histogram::default();
            let mut total = 0;
            for (i, count) in counts.iter().enumerate() {
                total += count;
                let end = if i + 1 == counts.len() { "+Inf".to_owned() } else { (i + 1).to_string() };
                let line = format!("a_bucket{{le=\"{end}\"}} {total}\n");
                histogram.add("a", &samples(&line).next().unwrap());
            }
            let found: Vec<f64> = (0_u8..=10)
                .filter_map(|q| histogram.quantile(f64::from(q) / 10.0))
                .collect();
            prop_assert_eq!(found.len(), if total == 0 { 0 } else { 11 });
            prop_assert!(found.is_sorted());
            prop_assert!(found.iter().all(|v| (0.0..=(counts.len() - 1) as f64).contains(v)));
        }
    }

    fn histogram(text: &str) -> Histogram {
        let mut histogram = Histogram::default();
        for sample in samples(text) {
            histogram.add("t", &sample);
        }
        histogram
    }

    const TWO: &str = "t_bucket{h=\"a\",le=\"0.01\"} 50\nt_bucket{h=\"a\",le=\"0.1\"} 90\n\
        t_bucket{h=\"a\",le=\"+Inf\"} 90\nt_sum{h=\"a\"} 2\nt_count{h=\"a\"} 90\n\
        t_bucket{h=\"b\",le=\"0.01\"} 0\nt_bucket{h=\"b\",le=\"0.1\"} 8\n\
        t_bucket{h=\"b\",le=\"+Inf\"} 10\nt_sum{h=\"b\"} 3\nt_count{h=\"b\"} 10\n\
        t_total 7\nother_sum 9\n";

    /// What `histogram_quantile(q, sum by (le) (…))` of Prometheus 2.42 says of the same buckets.
    #[test]
    fn quantiles_are_those_of_prometheus() {
        let both = histogram(TWO);
        assert_eq!((both.count(), both.mean()), (100.0, Some(0.05)));
        for (q, expected) in [
            (0.25, 0.005),
            (0.5, 0.01),
            (0.74, 0.055),
            (0.9, 0.08499999999999999),
            (0.99, 0.1),
            (1.0, 0.1),
        ] {
            let found = both.quantile(q).unwrap();
            assert!((found - expected).abs() < 1e-12, "{q}: {found}");
        }
        assert_eq!(both.share_up_to(0.01), Some(0.5));
        assert_eq!(both.share_up_to(0.02), None);
        // A first bucket that ends below 0 begins nowhere.
        let below =
            histogram("t_bucket{le=\"-1\"} 4\nt_bucket{le=\"1\"} 8\nt_bucket{le=\"+Inf\"} 8\n");
        assert_eq!(
            (below.quantile(0.5), below.quantile(0.75)),
            (Some(-1.0), Some(0.0))
        );
        // Buckets that do not grow are read as if they did.
        let torn =
            histogram("t_bucket{le=\"1\"} 4\nt_bucket{le=\"2\"} 3\nt_bucket{le=\"+Inf\"} 4\n");
        assert_eq!(torn.quantile(0.99), Some(0.99));
        for without in [
            "",
            "t_bucket{le=\"1\"} 4\n",
            "t_bucket{le=\"1\"} 0\nt_bucket{le=\"+Inf\"} 0\n",
            "t_bucket{le=\"x\"} 4\n",
        ] {
            assert_eq!(histogram(without).quantile(0.5), None, "{without}");
        }
    }

    #[test]
    fn what_went_on_between_is_the_difference_unless_the_process_began_anew() {
        let first = histogram(TWO);
        let later = TWO
            .replace("\"a\",le=\"0.1\"} 90", "\"a\",le=\"0.1\"} 110")
            .replace("\"a\",le=\"+Inf\"} 90", "\"a\",le=\"+Inf\"} 110")
            .replace("{h=\"a\"} 2\n", "{h=\"a\"} 3\n");
        let last = histogram(&later);
        let between = last.since(&first);
        assert_eq!((between.count(), between.mean()), (20.0, Some(0.05)));
        assert!((between.quantile(0.5).unwrap() - 0.055).abs() < 1e-12);
        assert_eq!(first.since(&first).quantile(0.5), None);
        assert_eq!(first.since(&last), first, "it began anew");
        assert_eq!((increase(3.0, 5.0), increase(5.0, 3.0)), (2.0, 3.0));
    }
}
