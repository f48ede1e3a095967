//! The keys of the section `serve` that are about access; `serve::config` explains them.
//! Imports: base, http, `serve::access::rates`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::doc::{Fields, On, Value};
use crate::http::Origin;

use super::rates::RateLimit;

/// Requests that anybody may make, from one in a quarter of an hour on.
const PER_SECOND: std::ops::RangeInclusive<f64> = 0.001..=1e6;

/// Who may ask, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessConfig {
    /// The file of keys, relative to the folder of the parameters.
    pub keys: Option<PathBuf>,
    /// Whether the metrics are answered without a key.
    pub metrics: MetricsAccess,
    /// How many requests each may make; without it as many as they like.
    pub rate_limit: Option<RateLimit>,
    /// Pages of other origins that may ask; without it none.
    pub cors: Option<CorsConfig>,
}

/// Who may read the metrics once there are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Everybody.
    Open,
    /// Whoever has a key with the scope `metrics`.
    WithKey,
}

/// Pages of other origins that may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsConfig {
    /// Where they come from.
    pub origins: Vec<Origin>,
    /// How long a browser may remember that it was allowed.
    pub max_age: Duration,
}

impl AccessConfig {
    /// Reads them; problems are collected in the fields' `Problems`.
    pub(in crate::serve) fn read(fields: &Fields<'_, '_>) -> Self {
        let keys = fields.optional_text("keys");
        if keys.is_some_and(|keys| keys.trim().is_empty()) {
            let headline = format!("`{}` must not be empty", fields.path("keys"));
            let help = "name a file that `cvops serve keys add` has written".to_owned();
            fields.problem("keys", On::Value, "out-of-range", headline, Some(help));
        }
        Self {
            keys: keys.map(PathBuf::from),
            metrics: if fields.bool("open_metrics", true) {
                MetricsAccess::Open
            } else {
                MetricsAccess::WithKey
            },
            rate_limit: rate_limit(fields),
            cors: cors(fields),
        }
    }
}

fn rate_limit(fields: &Fields<'_, '_>) -> Option<RateLimit> {
    let is_given = is_mapping(fields, "rate_limit");
    let section = fields.section("rate_limit");
    let per_second = section.optional_float("per_second", PER_SECOND);
    let burst = section.optional_int("burst", 1..=1_000_000);
    if is_given && !section.has("per_second") {
        let headline = format!("`{}` is missing", section.path("per_second"));
        let help = "for example `rate_limit: {per_second: 50, burst: 100}`".to_owned();
        section.problem("per_second", On::Value, "missing-key", headline, Some(help));
    }
    section.finish();
    let per_second = per_second?;
    let burst = burst.unwrap_or(per_second.ceil() as u64);
    let burst = u32::try_from(burst).ok().and_then(NonZeroU32::new);
    Some(RateLimit {
        per_second,
        burst: burst.unwrap_or(NonZeroU32::MIN),
    })
}

fn cors(fields: &Fields<'_, '_>) -> Option<CorsConfig> {
    let is_given = is_mapping(fields, "cors");
    let section = fields.section("cors");
    let mut origins = Vec::new();
    let texts = section.texts("origins");
    let is_empty = match section.get("origins") {
        None => true,
        Some(Value::List(list)) => list.is_empty(),
        Some(_) => false,
    };
    for text in texts {
        match text.parse::<Origin>() {
            Ok(origin) => origins.push(origin),
            Err(error) => {
                let headline = format!("`{text}` in `{}` is no origin", section.path("origins"));
                let help = Some(error.to_string());
                section.problem("origins", On::Value, "bad-value", headline, help);
            }
        }
    }
    if is_given && is_empty {
        let headline = format!("`{}` is missing", section.path("origins"));
        let help = "for example `cors: {origins: [\"https://app.example\"]}`".to_owned();
        section.problem("origins", On::Value, "missing-key", headline, Some(help));
    }
    let max_age = Duration::from_secs(section.int("max_age_s", 600, 0..=86_400));
    section.finish();
    is_given.then_some(CorsConfig { origins, max_age })
}

fn is_mapping(fields: &Fields<'_, '_>, key: &'static str) -> bool {
    matches!(fields.get(key), Some(Value::Map(_)))
}
