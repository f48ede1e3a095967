//! A detector as bytes, in two parts: what was fitted, which does not change, and where it stands, which
//! each observation changes. Imports: base, `drift::error`, `drift::online::{calibrate, cvm, detector, fisher, lsdd, mmd}`.
//!
//! Both are JSON with a schema version, and another schema is refused. Arrays of numbers are the bits of
//! their `f64`s (little endian, base64), so a detector that is read back goes on exactly as the one that
//! was written would have. The second part names the hash of the first: a window that was compared with
//! another reference means nothing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::canon::Canon;

use super::super::error::Error;
use super::calibrate::Rate;
use super::cvm::Cvm;
use super::detector::{Detector, HISTORY, Online};
use super::fisher::Fisher;
use super::lsdd::Lsdd;
use super::mmd::Mmd;

/// The version of both parts. Anything that changes what stands in them, or what it means, is a new one.
const SCHEMA: u64 = 1;

/// A time that no detector reaches.
const TIME_MAX: u64 = 1 << 53;

/// What all versions begin with.
#[derive(Deserialize)]
struct Head {
    schema: u64,
}

#[derive(Deserialize, Serialize)]
struct FittedFile {
    schema: u64,
    method: String,
    ert: f64,
    fitted: Value,
}

#[derive(Deserialize, Serialize)]
struct StateFile {
    schema: u64,
    /// The hash of the fitted part.
    of: String,
    time: u64,
    drift_since: Option<u64>,
    #[serde(with = "floats")]
    history: Vec<f64>,
    moving: Value,
}

impl Online {
    /// Returns what was fitted, as bytes for a file: all but the reading of the stream.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn fitted_bytes(&self) -> Result<Vec<u8>, Error> {
        let watch = self.detector.watch();
        let file = FittedFile {
            schema: SCHEMA,
            method: watch.name().to_owned(),
            ert: self.ert,
            fitted: watch.fitted().map_err(Error::damaged)?,
        };
        serde_json::to_vec(&file).map_err(Error::damaged)
    }

    /// Makes the detector of [`Online::fitted_bytes`] again, at time 0.
    ///
    /// # Errors
    /// The bytes have another schema, or are not what this program writes.
    pub fn from_fitted_bytes(bytes: &[u8]) -> Result<Self, Error> {
        check_schema(bytes)?;
        let file: FittedFile = serde_json::from_slice(bytes).map_err(Error::damaged)?;
        let detector = match file.method.as_str() {
            "mmd" => Detector::Mmd(Mmd::read(file.fitted)?),
            "lsdd" => Detector::Lsdd(Lsdd::read(file.fitted)?),
            "cvm" => Detector::Cvm(Cvm::read(file.fitted)?),
            "fisher" => Detector::Fisher(Fisher::read(file.fitted)?),
            other => {
                return Err(Error::damaged(format!(
                    "`method` is `{other}`: expected `mmd`, `lsdd`, `cvm` or `fisher`"
                )));
            }
        };
        Rate::new(file.ert, 1)?;
        Self::begin(detector, file.ert)
    }

    /// Returns where the detector stands, as bytes for a file: time, alarm, past statistics, windows.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn state_bytes(&self) -> Result<Vec<u8>, Error> {
        let file = StateFile {
            schema: SCHEMA,
            of: self.hash.clone(),
            time: self.time,
            drift_since: self.drift_since,
            history: self.history.iter().copied().collect(),
            moving: self.detector.watch().moving().map_err(Error::damaged)?,
        };
        serde_json::to_vec(&file).map_err(Error::damaged)
    }

    /// Goes on where [`Online::state_bytes`] of an equal detector stood.
    ///
    /// # Errors
    /// The bytes have another schema, belong to another detector, or are not what this program writes.
    /// Then the detector is as it was before.
    pub fn resume(&mut self, bytes: &[u8]) -> Result<(), Error> {
        check_schema(bytes)?;
        let file: StateFile = serde_json::from_slice(bytes).map_err(Error::damaged)?;
        if file.of != self.hash {
            return Err(Error::Foreign {
                found: file.of,
                expected: self.hash.clone(),
            });
        }
        if TIME_MAX < file.time {
            return Err(Error::damaged("`time` is beyond all that can be counted"));
        }
        let remembered = usize::try_from(file.time).map_or(HISTORY, |time| time.min(HISTORY));
        if file.history.len() != remembered {
            return Err(Error::damaged(
                "`history` has another length than `time` says",
            ));
        }
        if file
            .drift_since
            .is_some_and(|since| !(1..=file.time).contains(&since))
        {
            return Err(Error::damaged("`drift_since` is no time that was"));
        }
        self.detector.watch_mut().resume(file.time, file.moving)?;
        self.time = file.time;
        self.drift_since = file.drift_since;
        self.history = VecDeque::from(file.history);
        Ok(())
    }

    /// The hash of what was fitted.
    pub(super) fn hash_of_fitted(&self) -> Result<String, Error> {
        let bytes = self.fitted_bytes()?;
        let mut canon = Canon::new("cvops.drift.online.v1");
        Ok(canon.bytes(&bytes).finish().to_string())
    }
}

fn check_schema(bytes: &[u8]) -> Result<(), Error> {
    let head: Head = serde_json::from_slice(bytes).map_err(Error::damaged)?;
    if head.schema == SCHEMA {
        return Ok(());
    }
    Err(Error::Schema {
        found: head.schema,
        expected: SCHEMA,
    })
}

/// Arrays of numbers as their bits.
pub(super) mod floats {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in super::super) fn serialize<S: Serializer>(
        values: &[f64],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<f64>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
        let (values, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(de::Error::custom("an array of numbers is cut off"));
        }
        Ok(values.iter().map(|v| f64::from_le_bytes(*v)).collect())
    }
}
