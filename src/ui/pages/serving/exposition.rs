//! Prometheus' text form of metrics (version 0.0.4), as far as our own server writes it. Pure.
//! Imports: nothing.

/// One series with its value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ui) struct Sample<'t> {
    pub(in crate::ui) name: &'t str,
    labels: Vec<(&'t str, String)>,
    pub(in crate::ui) value: f64,
}

impl Sample<'_> {
    /// Returns the value of a label, empty if there is none.
    pub(in crate::ui) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Returns the samples of a text; lines that are none are passed over.
pub(in crate::ui) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter_map(sample)
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
    let value = match rest.split_whitespace().next()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().ok()?,
    };
    Some(Sample {
        name,
        labels,
        value,
    })
}

/// Labels with their values, and what follows them.
type Labels<'t> = (Vec<(&'t str, String)>, &'t str);

/// Reads `name="value",…}` and returns what follows.
fn labels(mut rest: &str) -> Option<Labels<'_>> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, value) = rest.split_once("=\"")?;
        let mut text = String::new();
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => text.push('\n'),
                    other => text.push(other),
                },
                (_, other) => text.push(other),
            }
        };
        labels.push((name.trim(), text));
        rest = &value[end + 1..];
    }
}

#[cfg(test)]
mod tests {
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
}
