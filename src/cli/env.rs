//! The only reader of environment variables and, beside clap, of the command line. Imports: base,
//! project.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the door through which the environment comes in"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::base::Diagnostic;
use crate::base::fs::fault::{self, Fault};
use crate::project::{OuterFiles, OuterSettings};

use super::error::CliError;

/// The process's environment, as far as it is text.
#[derive(Clone, Debug)]
pub(super) struct Env {
    vars: BTreeMap<String, String>,
    path: Option<OsString>,
}

impl Env {
    /// Takes the environment of this process.
    pub(super) fn of_process() -> Self {
        let vars = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        Self {
            vars,
            path: std::env::var_os("PATH"),
        }
    }

    /// Returns a variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.vars
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// Returns all variables.
    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.vars
    }

    /// Returns the settings files outside of projects: ours, and DVC's (XDG base directory
    /// specification; `DVC_GLOBAL_CONFIG_DIR` and `DVC_SYSTEM_CONFIG_DIR` as DVC reads them).
    pub(super) fn outer_settings(&self) -> OuterSettings {
        let home = self.get("HOME").map(PathBuf::from);
        let user = self.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let user = user.or_else(|| Some(home.as_ref()?.join(".config")));
        let system = self
            .get("XDG_CONFIG_DIRS")
            .and_then(|dirs| dirs.split(':').next());
        let system = PathBuf::from(system.filter(|d| !d.is_empty()).unwrap_or("/etc/xdg"));
        let dvc = |variable: &str, otherwise: Option<&PathBuf>, on_mac: Option<PathBuf>| {
            let named = self.get(variable).map(PathBuf::from);
            let usual = || match on_mac {
                Some(dir) if cfg!(target_os = "macos") => Some(dir.join("dvc")),
                _ => otherwise.map(|dir| dir.join("dvc")),
            };
            named.or_else(usual).map(|dir| dir.join("config"))
        };
        let support = "Library/Application Support";
        OuterSettings {
            cvops: OuterFiles {
                system: Some(system.join("cvops/config.yaml")),
                user: user.as_ref().map(|dir| dir.join("cvops/config.yaml")),
            },
            dvc: OuterFiles {
                system: dvc(
                    "DVC_SYSTEM_CONFIG_DIR",
                    Some(&system),
                    Some(PathBuf::from("/").join(support)),
                ),
                user: dvc(
                    "DVC_GLOBAL_CONFIG_DIR",
                    user.as_ref(),
                    home.as_ref().map(|home| home.join(support)),
                ),
            },
            home,
        }
    }

    /// Returns the variables that stages get beside the inherited ones: this very program comes
    /// first on their PATH, so `cmd: cvops train` needs no installation.
    pub(super) fn for_stages(&self) -> Vec<(String, OsString)> {
        let Some(dir) = std::env::current_exe()
            .ok()
            .and_then(|exe| Some(exe.parent()?.to_owned()))
        else {
            return Vec::new();
        };
        let rest = self.path.iter().flat_map(std::env::split_paths);
        let joined = std::env::join_paths(std::iter::once(dir).chain(rest));
        joined
            .map(|path| vec![("PATH".to_owned(), path)])
            .unwrap_or_default()
    }
}

/// Returns the command as typed, with quotes where a shell would need them.
pub(super) fn command_line() -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-+./:=@%,".contains(c);
    let words = std::env::args_os().skip(1).map(|word| {
        let word = word.to_string_lossy();
        if word.is_empty() || !word.chars().all(plain) {
            format!("'{}'", word.replace('\'', r"'\''"))
        } else {
            word.into_owned()
        }
    });
    std::iter::once("cvops".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Makes the instructions that `CVOPS_CPU` names those of our kernels, instead of the fastest that
/// this machine has.
#[cfg(feature = "vision")]
pub(super) fn choose_cpu(env: &Env) -> Result<(), CliError> {
    let Some(name) = env.get("CVOPS_CPU") else {
        return Ok(());
    };
    crate::vision::device::choose_cpu(name).map_err(|known| {
        CliError::usage(
            Diagnostic::error("environment", format!("`CVOPS_CPU` is `{name}`"))
                .help(format!("this machine has {}", known.join(", "))),
        )
    })
}

/// Arms a fault point when `CVOPS_CRASH_AT=n` (the process dies there) or `CVOPS_FAIL_AT=n:errno`
/// (the operation fails there) asks for it. For tests.
pub(super) fn arm_faults(env: &Env) -> Result<(), CliError> {
    let bad = |name: &str, expected: &str| {
        CliError::usage(Diagnostic::error(
            "environment",
            format!("`{name}` must be {expected}"),
        ))
    };
    if let Some(text) = env.get("CVOPS_CRASH_AT") {
        let n = text
            .parse()
            .map_err(|_| bad("CVOPS_CRASH_AT", "a whole number"))?;
        fault::arm(n, Fault::Crash);
    }
    if let Some(text) = env.get("CVOPS_FAIL_AT") {
        let parsed = text
            .split_once(':')
            .and_then(|(n, e)| Some((n.parse().ok()?, e.parse().ok()?)));
        let (n, errno) =
            parsed.ok_or_else(|| bad("CVOPS_FAIL_AT", "`n:errno`, two whole numbers"))?;
        fault::arm(n, Fault::Error(errno));
    }
    Ok(())
}
