//! What `cvops drift test` prints: a table and a verdict, or one JSON document. Imports: report, drift, detect.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::out::{Form, Out, Style};
use crate::detect::arrays::{Compared, Found, Rows, Whole};
use crate::detect::tables::precise;
use crate::drift::univariate::{Feature, Note, Report};
use crate::report::{Align, Table, Tone};

use super::{Args, CorrectionName};

/// Rows of the table; JSON has all features.
const SHOWN: usize = 20;

/// What was compared, and what was found.
pub(super) struct Shown<'a> {
    pub(super) args: &'a Args,
    pub(super) reference: &'a Rows,
    pub(super) test: &'a Rows,
    pub(super) compared: &'a Compared,
}

impl Shown<'_> {
    /// Prints it.
    pub(super) fn write(&self, out: &Out) {
        if out.form == Form::Json {
            out.json(&self.json());
            return;
        }
        for note in self.notes() {
            out.note(&format!("note: {note}"));
        }
        let (table, why) = match &self.compared.found {
            Found::Features(report) => (self.features(report, out), self.verdict(report)),
            Found::Whole(whole) => (self.whole(whole), self.verdict_of_whole(whole)),
        };
        out.table(&table);
        let verdict = if self.compared.is_drift {
            out.paint(Style::Bad, "drift")
        } else {
            out.paint(Style::Good, "no drift")
        };
        out.result(&format!("\n{verdict}: {why}"));
    }

    fn json(&self) -> Value {
        let file = |path: &Path, rows: &Rows| json!({"file": path.display().to_string(), "rows": rows.sample.rows()});
        let mut json = json!({
            "detector": self.args.detector.text(),
            "reference": file(&self.args.reference, self.reference),
            "test": file(&self.args.test, self.test),
            "features": self.test.sample.width(),
            "alpha": self.args.alpha,
            "is_drift": self.compared.is_drift,
            "notes": self.notes(),
        });
        match &self.compared.found {
            Found::Features(report) => {
                let numbers = |of: fn(&Feature) -> f64| -> Vec<f64> {
                    report.features.iter().map(of).collect()
                };
                let is_drift: Vec<bool> = report.features.iter().map(|f| f.is_drift).collect();
                json["correction"] = self.correction().text().into();
                json["names"] = self.names().into();
                json["threshold"] = report.threshold.into();
                json["p_val"] = numbers(|feature| feature.p).into();
                json["p_val_plain"] = Value::Null;
                json["adjusted_p"] = numbers(|feature| feature.adjusted_p).into();
                json["distance"] = numbers(|feature| feature.distance).into();
                json["effect"] = numbers(|feature| feature.effect).into();
                json["feature_is_drift"] = is_drift.into();
            }
            Found::Whole(whole) => {
                json["threshold"] = self.args.alpha.into();
                json["p_val"] = whole.p.into();
                json["p_val_plain"] = whole.p_plain.into();
                json["distance"] = whole.statistic.into();
                json["distance_threshold"] = whole.distance_threshold.into();
                json["effect"] = effect(whole).into();
                json["permutations"] = whole.permutations.into();
                json["bandwidths"] = whole.bandwidths.clone().into();
                json["lambda"] = whole.lambda.into();
                json["adjusted_p"] = whole.p.into();
                json["feature_is_drift"] = Value::Null;
            }
        }
        json
    }

    /// Returns what should be known, with the file or the feature that it is about.
    fn notes(&self) -> Vec<String> {
        let files = [
            (&self.args.reference, self.reference),
            (&self.args.test, self.test),
        ];
        let read = files.into_iter().flat_map(|(path, rows)| {
            let told = move |note: &String| format!("`{}`: {note}", path.display());
            rows.notes.iter().map(told)
        });
        let mut notes: Vec<String> = read.chain(self.compared.notes.iter().cloned()).collect();
        if let Found::Features(report) = &self.compared.found {
            for (at, feature) in report.features.iter().enumerate() {
                let told = |note: &Note| format!("feature {}: {note}", self.name(at));
                notes.extend(feature.notes.iter().map(told));
            }
        }
        notes
    }

    fn names(&self) -> &[String] {
        if self.reference.names.is_empty() {
            &self.test.names
        } else {
            &self.reference.names
        }
    }

    fn name(&self, feature: usize) -> String {
        let name = self.names().get(feature).filter(|name| !name.is_empty());
        name.cloned().unwrap_or_else(|| feature.to_string())
    }

    fn correction(&self) -> CorrectionName {
        self.args.correction.unwrap_or(CorrectionName::Bonferroni)
    }

    /// The features of smallest p, the smallest first; equal ones in the order of the columns.
    fn features(&self, report: &Report, out: &Out) -> Table {
        let mut order: Vec<usize> = (0..report.features.len()).collect();
        order.sort_by(|a, b| report.features[*a].p.total_cmp(&report.features[*b].p));
        let more = order.len().saturating_sub(SHOWN);
        if 0 < more {
            out.note(&format!(
                "{more} features of larger p are left out; `--json` has all"
            ));
        }
        let mut table = Table::new([
            ("feature", Align::Left),
            ("distance", Align::Right),
            ("p", Align::Right),
            ("adjusted p", Align::Right),
            ("effect", Align::Right),
            ("drift", Align::Left),
        ]);
        for at in order.into_iter().take(SHOWN) {
            let feature = &report.features[at];
            let word = if feature.is_drift_corrected {
                "yes"
            } else {
                "no"
            };
            table.row([
                self.name(at),
                precise(feature.distance),
                precise(feature.p),
                precise(feature.adjusted_p),
                precise(feature.effect),
                word.to_owned(),
            ]);
            if feature.is_drift_corrected {
                table.tone(5, Tone::Bad);
            }
        }
        table
    }

    fn verdict(&self, report: &Report) -> String {
        let smallest = report.features.iter().map(|f| f.p).fold(1.0, f64::min);
        let all = report.features.len();
        let over = match (all, self.correction()) {
            (1, _) | (_, CorrectionName::None) => String::new(),
            (_, correction) => format!(", {} over {all} features", correction.text()),
        };
        let alpha = self.args.alpha;
        match report.threshold {
            Some(level) if self.compared.is_drift => format!(
                "the smallest p, {}, is below {} (alpha {alpha}{over})",
                precise(smallest),
                precise(level)
            ),
            Some(level) => format!(
                "the smallest p, {}, is not below {} (alpha {alpha}{over})",
                precise(smallest),
                precise(level)
            ),
            None => format!("no p is small enough (alpha {alpha}{over})"),
        }
    }

    fn whole(&self, whole: &Whole) -> Table {
        let mut table = Table::new([
            ("detector", Align::Left),
            ("distance", Align::Right),
            ("threshold", Align::Right),
            ("p", Align::Right),
            ("effect", Align::Right),
            ("permutations", Align::Right),
        ]);
        table.row([
            self.args.detector.text().to_owned(),
            precise(whole.statistic),
            precise(whole.distance_threshold),
            precise(whole.p),
            precise(effect(whole)),
            whole.permutations.to_string(),
        ]);
        table
    }

    fn verdict_of_whole(&self, whole: &Whole) -> String {
        let is = if self.compared.is_drift {
            "is"
        } else {
            "is not"
        };
        format!(
            "p, {}, {is} below {}",
            precise(whole.p),
            precise(self.args.alpha)
        )
    }
}

/// MMD² and LSDD are squares of distances; MMD² may be below 0 where there is none.
fn effect(whole: &Whole) -> f64 {
    whole.statistic.max(0.0).sqrt()
}
