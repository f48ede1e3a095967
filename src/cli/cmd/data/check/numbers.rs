//! The flags of `cvops data check` that say what counts as odd.

use crate::audit::AuditParams;
use crate::vision::params::PreprocessParams;

/// What counts as odd.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = "What counts as odd")]
pub(super) struct Numbers {
    /// Root mean square difference up to which two pictures are nearly the same, as a part of the range
    /// of their values (0 to 1)
    #[arg(long, value_name = "X", default_value = "0.05", value_parser = read_share)]
    near_rmse: f64,
    /// Correlation from which on two pictures are nearly the same (0 to 1)
    #[arg(long, value_name = "X", default_value = "0.99", value_parser = read_share)]
    near_correlation: f64,
    /// Bits of 64 in which the hashes of pictures may differ that are compared at all (0 to 7); more
    /// finds more near copies and takes longer
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(0..=7))]
    near_bits: u32,
    /// Robust z-score from which on a picture is an outlier
    #[arg(long, value_name = "Z", default_value = "3.5", value_parser = read_positive)]
    outlier_z: f64,
    /// How many times the training pictures of a class the largest one may have
    #[arg(long, value_name = "X", default_value = "10", value_parser = read_positive)]
    imbalance: f64,
    /// Significance level of the comparison of splits (`property-drift`, `label-drift`), before correction
    /// for the number of properties
    #[arg(long, value_name = "P", default_value = "0.01", value_parser = read_level)]
    drift_alpha: f64,
    /// Least difference between splits that counts: standard deviations of a property, Cramér's V of
    /// class shares
    #[arg(long, value_name = "X", default_value = "0.1", value_parser = read_not_negative)]
    drift_effect: f64,
    /// Share of the labels that the probe must agree with to doubt any, mean over the classes (0 to 1)
    #[arg(long, value_name = "X", default_value = "0.8", value_parser = read_share)]
    probe_accuracy: f64,
    /// Different pictures that a class must have for its labels to be doubted
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    label_images: u32,
    /// Pictures that a weak segment must have, and the rest as well
    #[arg(long, value_name = "N", default_value = "30", value_parser = clap::value_parser!(u32).range(1..))]
    segment_images: u32,
    /// How much lower the accuracy in a weak segment must be than in the rest (0 to 1)
    #[arg(long, value_name = "X", default_value = "0.05", value_parser = read_share)]
    segment_gap: f64,
    /// Skill, from 0 (chance) to 1 (certainty), from which on a property is a shortcut
    #[arg(long, value_name = "X", default_value = "0.7", value_parser = read_share)]
    shortcut_skill: f64,
}

impl Numbers {
    /// Returns how pictures are checked that `preprocess` reads.
    pub(super) fn params(&self, preprocess: PreprocessParams) -> AuditParams {
        let mut params = AuditParams::new(preprocess);
        params.near.rmse_max = self.near_rmse;
        params.near.correlation_min = self.near_correlation;
        params.near.hash_bits_max = self.near_bits;
        params.outlier_z = self.outlier_z;
        params.imbalance_max = self.imbalance;
        params.alpha = self.drift_alpha;
        params.min_effect = self.drift_effect;
        params.learned.accuracy_min = self.probe_accuracy;
        params.learned.support_min = self.label_images as usize;
        params.learned.segments.support_min = self.segment_images as usize;
        params.learned.segments.gap_min = self.segment_gap;
        params.learned.shortcuts.skill_min = self.shortcut_skill;
        params
    }
}

fn read_share(text: &str) -> Result<f64, String> {
    read(text, "from 0 to 1", |number| (0.0..=1.0).contains(&number))
}

fn read_level(text: &str) -> Result<f64, String> {
    read(text, "above 0 and below 1", |number| {
        0.0 < number && number < 1.0
    })
}

fn read_positive(text: &str) -> Result<f64, String> {
    read(text, "a number above 0", |number| {
        0.0 < number && number.is_finite()
    })
}

fn read_not_negative(text: &str) -> Result<f64, String> {
    read(text, "0 or a number above it", |number| {
        0.0 <= number && number.is_finite()
    })
}

fn read(text: &str, expected: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if fits(number) {
        Ok(number)
    } else {
        Err(format!("it must be {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::base::doc::{Document, Format, KeyPath, Problems};

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        numbers: Numbers,
    }

    fn params(flags: &str) -> AuditParams {
        let document = Document::parse("params.yaml", String::new(), Format::Yaml).unwrap();
        let problems = Problems::new(&document);
        let preprocess = PreprocessParams::read(problems.fields(KeyPath::root()));
        let words = std::iter::once("check").chain(flags.split_whitespace());
        let numbers = Only::try_parse_from(words).unwrap().numbers;
        numbers.params(preprocess)
    }

    #[test]
    fn without_flags_the_numbers_are_those_of_the_room() {
        let params = params("");
        assert_eq!(params, AuditParams::new(params.preprocess.clone()));
    }

    #[test]
    fn each_flag_changes_its_number() {
        let usual = params("");
        for flag in [
            "--near-rmse 0.02",
            "--near-correlation 0.98",
            "--near-bits 7",
            "--outlier-z 5",
            "--imbalance 3",
            "--drift-alpha 0.05",
            "--drift-effect 0",
            "--probe-accuracy 0.9",
            "--label-images 20",
            "--segment-images 10",
            "--segment-gap 0.1",
            "--shortcut-skill 0.5",
        ] {
            assert_ne!(params(flag), usual, "{flag}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for flag in [
            "--near-bits 8",
            "--drift-alpha 0",
            "--drift-alpha 1",
            "--drift-effect -1",
            "--segment-gap 1.1",
            "--outlier-z inf",
            "--imbalance few",
        ] {
            let words = std::iter::once("check").chain(flag.split_whitespace());
            assert!(Only::try_parse_from(words).is_err(), "{flag}");
        }
    }
}
