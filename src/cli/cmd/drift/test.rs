//! `cvops drift test`: two arrays of features against each other, by one detector.

mod show;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::base::{Diagnostic, ToDiagnostics};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::detect::arrays::{
    ArrayError, ArrayFile, Detector, Head, Relabelling, Request, Rows, compare,
};
use crate::drift::correction::Correction;
use crate::drift::lsdd::Regularisation;
use crate::drift::univariate::{Alternative, Method, Test};

/// Permutations of `mmd` and `lsdd`, where none are asked for.
const PERMUTATIONS: usize = 1000;
/// Of `chi2`, which needs them for small counts only.
const CHI2_PERMUTATIONS: usize = 9999;
const PERMUTATIONS_MAX: usize = 100_000;

/// Compare two arrays of features
///
/// REF is the reference, TEST what is compared with it: an observation in each row, a feature in each
/// column. Floats, whole numbers and booleans are read from `.npy`, `.csv` (with or without a line of names)
/// and `.safetensors` files; of several tensors, `FILE.safetensors#NAME` names one. An array of one dimension
/// is one feature, further dimensions are flattened.
///
/// `ks` and `cvm` compare measurements feature by feature, `chi2` categories (whole numbers), `fisher` zeros
/// and ones; `mmd` and `lsdd` compare all features at once. Exits with 0 if there is no drift, 1 if there is,
/// and 2 if the arrays cannot be compared.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops drift test --detector ks reference.npy new.npy\n  cvops drift test --detector mmd --permutations 5000 --json a.safetensors#embedding b.csv\n  cvops drift test --detector mmd --permutations permutations.npy reference.npy new.npy"
)]
pub(in crate::cli) struct Args {
    /// The array to compare with
    #[arg(value_name = "REF")]
    reference: PathBuf,
    /// The array that may have moved
    #[arg(value_name = "TEST")]
    test: PathBuf,
    /// How they are compared
    #[arg(long, value_name = "NAME")]
    detector: Name,
    /// The accepted chance of a false alarm
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    alpha: f64,
    /// How the chance of a false alarm is kept down over several features (default: bonferroni)
    #[arg(long, value_name = "NAME")]
    correction: Option<CorrectionName>,
    /// Which difference is looked for, by ks and fisher (default: two-sided; of fisher, greater)
    #[arg(long, value_name = "SIDE")]
    alternative: Option<AlternativeName>,
    /// How p-values of ks and cvm are computed (default: auto)
    #[arg(long, value_name = "HOW")]
    method: Option<MethodName>,
    /// How many permutations are drawn (default: 1000; of chi2, which needs them for small counts only, 9999), or a file of them
    ///
    /// A file (for mmd and lsdd) is an array with a permutation in each row,
    /// which allows to compare with other programs exactly: the numbers 0, 1, 2, … of the pooled rows, those of
    /// the reference first. Whose numbers come first are the reference of that permutation. For lsdd the rows are
    /// those of the reference that are no centres (see `--order`), then those of TEST.
    #[arg(long, value_name = "N|FILE", value_parser = permutations)]
    permutations: Option<Permutations>,
    /// An array of the numbers of all rows of REF: the first twentieth become the centres of lsdd, which are drawn otherwise
    #[arg(long, value_name = "FILE")]
    order: Option<PathBuf>,
    /// How strongly lsdd is regularised (default: as strongly as makes it stable)
    #[arg(long, value_name = "X")]
    lambda: Option<f64>,
    /// Width of the kernel of mmd, or several, separated by commas (default: by the median heuristic)
    #[arg(long, value_name = "X", value_delimiter = ',')]
    bandwidth: Vec<f64>,
    /// Whether CSV files begin with a line of names
    #[arg(long, value_name = "WHETHER", default_value = "auto")]
    header: HeadName,
    /// Seed of everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    /// Exit with 0 also if there is drift
    #[arg(long)]
    no_fail: bool,
}

/// The detectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Kolmogorov-Smirnov, by feature
    Ks,
    /// Cramér-von Mises, by feature
    Cvm,
    /// χ² of categories, by feature
    Chi2,
    /// Fisher's exact test of zeros and ones, by feature
    Fisher,
    /// Maximum mean discrepancy, of all features at once
    Mmd,
    /// Least-squares density difference, of all features at once
    Lsdd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CorrectionName {
    /// p < alpha divided by the number of features
    Bonferroni,
    /// The same decision, smaller adjusted p-values
    Holm,
    /// Benjamini and Hochberg: bounds the share of false alarms
    Fdr,
    /// Each feature stands for itself
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AlternativeName {
    /// Any difference
    TwoSided,
    /// TEST has greater values, or more ones
    Greater,
    /// TEST has smaller values, or fewer ones
    Less,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// Exactly where that is cheap
    Auto,
    /// Exactly
    Exact,
    /// By the law for large samples
    Asymptotic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HeadName {
    /// If it is no line of numbers
    Auto,
    /// They do
    Yes,
    /// They do not
    No,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Permutations {
    Count(usize),
    File(PathBuf),
}

/// What is a number is a number of permutations, all else a file of them.
fn permutations(text: &str) -> Result<Permutations, String> {
    if text.is_empty() {
        return Err("expected a number or a file".to_owned());
    }
    if !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Ok(Permutations::File(PathBuf::from(text)));
    }
    match text.parse() {
        Ok(count) if (1..=PERMUTATIONS_MAX).contains(&count) => Ok(Permutations::Count(count)),
        _ => Err(format!(
            "a number of permutations is 1 to {PERMUTATIONS_MAX}"
        )),
    }
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args)
        // 1 says that there is drift, and nothing else does.
        .map_err(|error| CliError {
            class: ErrorClass::Usage,
            ..error
        })
        .map_err(|error| error.seen_from(&ctx.dir))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    args.refuse_foreign_options()?;
    let request = args.request(ctx)?;
    let rows = |path: &Path| -> Result<Rows, ArrayError> {
        ArrayFile::named(&ctx.dir.join(path))
            .read(args.header.into())?
            .rows()
    };
    let reference = rows(&args.reference).map_err(told)?;
    let test = rows(&args.test).map_err(told)?;
    let compared = compare(&reference, &test, &request).map_err(told)?;
    let shown = show::Shown {
        args,
        reference: &reference,
        test: &test,
        compared: &compared,
    };
    shown.write(&ctx.out);
    Ok(if compared.is_drift && !args.no_fail {
        Outcome::Failed
    } else {
        Outcome::Done
    })
}

#[expect(clippy::needless_pass_by_value, reason = "as a function to `map_err`")]
fn told(error: ArrayError) -> CliError {
    CliError {
        class: ErrorClass::Usage,
        diagnostics: error.to_diagnostics(),
    }
}

impl Args {
    /// Refuses options that the detector has no use for: whoever gives them expects otherwise.
    fn refuse_foreign_options(&self) -> Result<(), CliError> {
        use Name::{Chi2, Cvm, Fisher, Ks, Lsdd, Mmd};
        let options: [(&str, bool, &[Name]); 7] = [
            (
                "--correction",
                self.correction.is_some(),
                &[Ks, Cvm, Chi2, Fisher],
            ),
            ("--alternative", self.alternative.is_some(), &[Ks, Fisher]),
            ("--method", self.method.is_some(), &[Ks, Cvm]),
            (
                "--permutations",
                self.permutations.is_some(),
                &[Chi2, Mmd, Lsdd],
            ),
            ("--order", self.order.is_some(), &[Lsdd]),
            ("--lambda", self.lambda.is_some(), &[Lsdd]),
            ("--bandwidth", !self.bandwidth.is_empty(), &[Mmd]),
        ];
        for (option, is_given, detectors) in options {
            if is_given && !detectors.contains(&self.detector) {
                let headline = format!(
                    "`{option}` does not go with `--detector {}`",
                    self.detector.text()
                );
                let names: Vec<&str> = detectors.iter().map(|name| name.text()).collect();
                return Err(CliError::usage(
                    Diagnostic::error("usage", headline)
                        .help(format!("it is for {}: leave it out", names.join(", "))),
                ));
            }
        }
        Ok(())
    }

    fn request(&self, ctx: &Ctx) -> Result<Request, CliError> {
        let features = |test| Detector::Features {
            test,
            correction: self.correction.unwrap_or(CorrectionName::Bonferroni).into(),
        };
        let alternative = |usual| -> Alternative { self.alternative.unwrap_or(usual).into() };
        let method: Method = self.method.unwrap_or(MethodName::Auto).into();
        let detector = match self.detector {
            Name::Ks => features(Test::KolmogorovSmirnov {
                alternative: alternative(AlternativeName::TwoSided),
                method,
            }),
            Name::Cvm => features(Test::CramerVonMises { method }),
            Name::Chi2 => features(Test::ChiSquare {
                permutations: self.chi2_permutations()?,
                seed: self.seed,
            }),
            // Whoever watches errors wants to know whether there are more.
            Name::Fisher => features(Test::Fisher {
                alternative: alternative(AlternativeName::Greater),
            }),
            Name::Mmd => Detector::Mmd {
                bandwidths: self.bandwidth.clone(),
                relabelling: self.relabelling(ctx),
            },
            Name::Lsdd => Detector::Lsdd {
                order: self
                    .order
                    .as_ref()
                    .map(|path| ArrayFile::named(&ctx.dir.join(path))),
                regularisation: self
                    .lambda
                    .map_or(Regularisation::Chosen, Regularisation::Given),
                relabelling: self.relabelling(ctx),
            },
        };
        Ok(Request {
            detector,
            alpha: self.alpha,
            seed: self.seed,
        })
    }

    fn chi2_permutations(&self) -> Result<u32, CliError> {
        match &self.permutations {
            None => Ok(CHI2_PERMUTATIONS as u32),
            Some(Permutations::Count(count)) => Ok(*count as u32),
            Some(Permutations::File(_)) => Err(CliError::usage(
                Diagnostic::error(
                    "usage",
                    "`--permutations` of `--detector chi2` is a number, not a file",
                )
                .help("chi2 permutes for small counts only, and draws the permutations itself"),
            )),
        }
    }

    fn relabelling(&self, ctx: &Ctx) -> Relabelling {
        match &self.permutations {
            None => Relabelling::Drawn(PERMUTATIONS),
            Some(Permutations::Count(count)) => Relabelling::Drawn(*count),
            Some(Permutations::File(path)) => {
                Relabelling::Given(ArrayFile::named(&ctx.dir.join(path)))
            }
        }
    }
}

impl Name {
    /// Returns how it is typed.
    fn text(self) -> &'static str {
        match self {
            Self::Ks => "ks",
            Self::Cvm => "cvm",
            Self::Chi2 => "chi2",
            Self::Fisher => "fisher",
            Self::Mmd => "mmd",
            Self::Lsdd => "lsdd",
        }
    }
}

impl CorrectionName {
    /// Returns how it is typed.
    fn text(self) -> &'static str {
        match self {
            Self::Bonferroni => "bonferroni",
            Self::Holm => "holm",
            Self::Fdr => "fdr",
            Self::None => "none",
        }
    }
}

impl From<CorrectionName> for Correction {
    fn from(name: CorrectionName) -> Self {
        match name {
            CorrectionName::Bonferroni => Self::Bonferroni,
            CorrectionName::Holm => Self::Holm,
            CorrectionName::Fdr => Self::BenjaminiHochberg,
            CorrectionName::None => Self::None,
        }
    }
}

impl From<AlternativeName> for Alternative {
    fn from(name: AlternativeName) -> Self {
        match name {
            AlternativeName::TwoSided => Self::TwoSided,
            AlternativeName::Greater => Self::Greater,
            AlternativeName::Less => Self::Less,
        }
    }
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Self {
        match name {
            MethodName::Auto => Self::Auto,
            MethodName::Exact => Self::Exact,
            MethodName::Asymptotic => Self::Asymptotic,
        }
    }
}

impl From<HeadName> for Head {
    fn from(name: HeadName) -> Self {
        match name {
            HeadName::Auto => Self::Auto,
            HeadName::Yes => Self::Yes,
            HeadName::No => Self::No,
        }
    }
}
