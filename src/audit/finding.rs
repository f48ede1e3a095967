//! What the checks found, as data: one `Finding` for each check, and the `Audit` of all of them.
//! Imports: vision, `audit::{leak, learned}`.

use serde::{Serialize, Serializer};

use crate::vision::dataset::{ClassCounts, Split};

use super::leak::LeakAccuracy;
use super::learned::Learned;

/// A question that is asked of the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Files that cannot be decoded.
    Corrupt,
    /// Classes without a picture.
    EmptyClasses,
    /// Classes that only validation or test have.
    UnknownClasses,
    /// Classes that a split lacks.
    MissingClasses,
    /// The same picture in two splits.
    Leaks,
    /// Nearly the same picture in two splits.
    NearLeaks,
    /// The same picture under two labels.
    Conflicts,
    /// Nearly the same picture under two labels.
    NearConflicts,
    /// The same picture twice in one split and class.
    Duplicates,
    /// Nearly the same picture twice in one split and class.
    NearDuplicates,
    /// Labels that a classifier of the pictures' features contradicts.
    LabelErrors,
    /// Classes that can be told by simple properties alone.
    Shortcuts,
    /// Kinds of pictures on which the model is weak.
    WeakSegments,
    /// Classes with far fewer pictures than the largest.
    Imbalance,
    /// Class shares that differ between splits.
    LabelDrift,
    /// Properties of pictures that differ between splits.
    PropertyDrift,
    /// Pictures that are black all over.
    NearBlack,
    /// Pictures that are white all over.
    NearWhite,
    /// Pictures with next to nothing in them.
    LowInformation,
    /// Pictures whose brightness, contrast, … lie far from all others.
    Outliers,
    /// Very small pictures, and very long ones.
    OddSizes,
    /// Files whose extension names another format.
    WrongExtensions,
    /// Files with several frames or pages, of which the first counts.
    SeveralFrames,
    /// Pictures in CMYK or with more than 8 bits, which are converted.
    Converted,
    /// Pictures with an alpha channel among pictures without.
    Transparent,
}

impl Check {
    /// All of them, the gravest first.
    pub const ALL: [Self; 25] = [
        Self::Corrupt,
        Self::EmptyClasses,
        Self::UnknownClasses,
        Self::MissingClasses,
        Self::Leaks,
        Self::NearLeaks,
        Self::Conflicts,
        Self::NearConflicts,
        Self::Duplicates,
        Self::NearDuplicates,
        Self::LabelErrors,
        Self::Shortcuts,
        Self::WeakSegments,
        Self::Imbalance,
        Self::LabelDrift,
        Self::PropertyDrift,
        Self::NearBlack,
        Self::NearWhite,
        Self::LowInformation,
        Self::Outliers,
        Self::OddSizes,
        Self::WrongExtensions,
        Self::SeveralFrames,
        Self::Converted,
        Self::Transparent,
    ];

    /// Returns its name on the command line and in JSON.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::EmptyClasses => "empty-classes",
            Self::UnknownClasses => "unknown-classes",
            Self::MissingClasses => "missing-classes",
            Self::Leaks => "leaks",
            Self::NearLeaks => "near-leaks",
            Self::Conflicts => "conflicts",
            Self::NearConflicts => "near-conflicts",
            Self::Duplicates => "duplicates",
            Self::NearDuplicates => "near-duplicates",
            Self::LabelErrors => "label-errors",
            Self::Shortcuts => "shortcuts",
            Self::WeakSegments => "weak-segments",
            Self::Imbalance => "imbalance",
            Self::LabelDrift => "label-drift",
            Self::PropertyDrift => "property-drift",
            Self::NearBlack => "near-black",
            Self::NearWhite => "near-white",
            Self::LowInformation => "low-information",
            Self::Outliers => "outliers",
            Self::OddSizes => "odd-sizes",
            Self::WrongExtensions => "wrong-extensions",
            Self::SeveralFrames => "several-frames",
            Self::Converted => "converted",
            Self::Transparent => "transparent",
        }
    }

    /// Returns the check of this name.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.id() == id)
    }

    /// Returns how much a finding of it matters.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Corrupt
            | Self::EmptyClasses
            | Self::UnknownClasses
            | Self::Leaks
            | Self::Conflicts => Severity::Error,
            Self::MissingClasses
            | Self::NearLeaks
            | Self::NearConflicts
            | Self::Duplicates
            | Self::LabelErrors
            | Self::Shortcuts
            | Self::WeakSegments
            | Self::Imbalance
            | Self::LabelDrift
            | Self::PropertyDrift
            | Self::NearBlack
            | Self::NearWhite
            | Self::LowInformation
            | Self::WrongExtensions => Severity::Warning,
            Self::NearDuplicates
            | Self::Outliers
            | Self::OddSizes
            | Self::SeveralFrames
            | Self::Converted
            | Self::Transparent => Severity::Info,
        }
    }

    /// Returns how many items it may have when nobody says otherwise; `None`: as many as there are.
    ///
    /// What makes figures of a test wrong may not be there at all; what may be meant is only told.
    #[must_use]
    pub fn default_limit(self) -> Option<usize> {
        match self {
            Self::Corrupt
            | Self::EmptyClasses
            | Self::UnknownClasses
            | Self::MissingClasses
            | Self::Leaks
            | Self::NearLeaks
            | Self::Conflicts
            | Self::LabelDrift
            | Self::PropertyDrift => Some(0),
            Self::NearConflicts
            | Self::Duplicates
            | Self::NearDuplicates
            | Self::LabelErrors
            | Self::Shortcuts
            | Self::WeakSegments
            | Self::Imbalance
            | Self::NearBlack
            | Self::NearWhite
            | Self::LowInformation
            | Self::Outliers
            | Self::OddSizes
            | Self::WrongExtensions
            | Self::SeveralFrames
            | Self::Converted
            | Self::Transparent => None,
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// May harm a model or its figures.
    Warning,
    /// Harms them.
    Error,
}

impl Severity {
    /// Returns its name in JSON and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The check.
    #[serde(rename = "id")]
    pub check: Check,
    /// How much it matters.
    pub severity: Severity,
    /// What it is, in one sentence without a full stop: `pictures of the test split are in train too`.
    pub title: String,
    /// What to do about it, in one sentence without a full stop.
    pub help: String,
    /// Number of items.
    pub count: usize,
    /// More items than this fail the audit; `null`: none do.
    pub limit: Option<usize>,
    /// All items, the gravest first, else by path.
    pub items: Vec<Item>,
}

impl Finding {
    /// Makes the finding of `check` out of its items; none if there are none. The limit is that of
    /// `Check::default_limit` until `Audit` is asked to judge.
    #[must_use]
    pub fn new(
        check: Check,
        title: impl Into<String>,
        help: impl Into<String>,
        items: Vec<Item>,
    ) -> Option<Self> {
        if items.is_empty() {
            return None;
        }
        Some(Self {
            check,
            severity: check.severity(),
            title: title.into(),
            help: help.into(),
            count: items.len(),
            limit: check.default_limit(),
            items,
        })
    }

    /// Are there more items than the limit allows?
    #[must_use]
    pub fn fails(&self) -> bool {
        self.limit.is_some_and(|limit| limit < self.count)
    }
}

/// One thing that a check found: a file, a class, a property.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Item {
    /// The file, relative to the dataset; `null` for what is no file.
    pub path: Option<String>,
    /// Its split, or the split in question.
    pub split: Option<Split>,
    /// Its class, or the class in question.
    pub class: Option<String>,
    /// What is wrong with it, in a few words.
    pub detail: String,
    /// The file that it is compared with.
    pub other: Option<Place>,
    /// If it is about several pictures, these, the gravest first; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<Item>,
    /// Its row in `Pictures`, for those who show it.
    #[serde(skip)]
    pub row: Option<usize>,
}

/// Where a picture lies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// The file, relative to the dataset.
    pub path: String,
    /// Its split.
    pub split: Split,
    /// Its class.
    pub class: String,
    /// Its row in `Pictures`.
    #[serde(skip)]
    pub row: usize,
}

/// All that a check of data says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// Class names, in the order of `counts`.
    pub classes: Vec<String>,
    /// Usable pictures per split and class.
    pub counts: ClassCounts,
    /// Usable pictures.
    pub images: usize,
    /// Pictures that `preprocess.exclude` leaves out; they were not looked at.
    pub excluded: usize,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
    /// Checks that were made and found nothing; those that are in neither list were not made, and a note
    /// says why.
    pub clean: Vec<Check>,
    /// What a model's accuracy becomes without leaked pictures; `null` without leaks or model.
    pub leak_accuracy: Option<LeakAccuracy>,
    /// What was learnt from the pictures about labels, segments and shortcuts; `null` if nobody asked.
    pub learned: Option<Learned>,
    /// What the check could not tell and why, one sentence each.
    pub notes: Vec<String>,
}

impl Audit {
    /// Returns the findings that are above their limit.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.fails())
    }

    /// Returns the finding of `check`, if there is one.
    #[must_use]
    pub fn finding(&self, check: Check) -> Option<&Finding> {
        self.findings.iter().find(|found| found.check == check)
    }
}
