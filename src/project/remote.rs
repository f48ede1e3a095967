//! Remotes: where objects are pushed to and fetched from. Imports: `project::{config, error, settings}`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::diag::nearest;

use super::config::{Config, Sharing};
use super::error::Error;
use super::settings::is_url;

/// Options by the name of their remote, paths absolute: the levels of settings merged.
pub(super) type Options = BTreeMap<String, BTreeMap<String, String>>;

/// A remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is: an absolute path or a URL.
    pub url: String,
    /// Files that are transferred at the same time, if set.
    pub jobs: Option<usize>,
    /// Is what comes from it hashed again?
    pub verify: bool,
    /// Does it keep files under their own names?
    pub version_aware: bool,
    /// Who may write into it.
    pub shared: Sharing,
    /// All other options, as they are written.
    pub options: BTreeMap<String, String>,
}

impl Remote {
    /// Returns the folder, if it is one of this machine.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self.url.strip_prefix("file://") {
            Some(path) => Some(Path::new(path)),
            None => (!is_url(&self.url)).then(|| Path::new(self.url.as_str())),
        }
    }

    /// Returns the folder of this machine in which it is.
    ///
    /// # Errors
    /// It is somewhere else, which is not supported yet.
    pub fn local_folder(&self, name: &str) -> Result<PathBuf, Error> {
        self.folder().map(Path::to_owned).ok_or_else(|| {
            let scheme = self.url.split("://").next().unwrap_or_default();
            Error::RemoteKind {
                name: name.to_owned(),
                scheme: scheme.to_owned(),
            }
        })
    }
}

/// Makes remotes of merged options; the second value names those without a URL.
pub(super) fn of_options(mut options: Options) -> (BTreeMap<String, Remote>, Vec<String>) {
    let urls: BTreeMap<String, String> = options
        .iter()
        .filter_map(|(name, o)| Some((name.clone(), o.get("url")?.clone())))
        .collect();
    let mut remotes = BTreeMap::new();
    let mut lost = Vec::new();
    for (name, mut options) in std::mem::take(&mut options) {
        let Some(url) = options.remove("url").filter(|url| !url.is_empty()) else {
            lost.push(name);
            continue;
        };
        let is_true = |text: Option<String>| text.is_some_and(|t| t.eq_ignore_ascii_case("true"));
        let remote = Remote {
            url: behind(&url, &urls),
            jobs: options.remove("jobs").and_then(|n| n.parse().ok()),
            verify: is_true(options.remove("verify")),
            version_aware: is_true(options.remove("version_aware")),
            shared: match options.remove("shared").as_deref() {
                Some("group") => Sharing::Group,
                _ => Sharing::Umask,
            },
            options,
        };
        remotes.insert(name, remote);
    }
    (remotes, lost)
}

/// Returns the URL behind `remote://NAME/path`, which counts from another remote.
fn behind(url: &str, urls: &BTreeMap<String, String>) -> String {
    let mut url = url.to_owned();
    // Remotes that name each other in a circle stay as they are written.
    for _ in 0..=urls.len() {
        let Some(rest) = url.strip_prefix("remote://") else {
            break;
        };
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let Some(base) = urls.get(name) else { break };
        url = format!("{}/{path}", base.trim_end_matches('/'));
    }
    url
}

impl Config {
    /// Returns the remote that is meant: the one named, else the default one, with its name.
    ///
    /// # Errors
    /// None is named and none is the default, or there is none of this name.
    pub fn remote(&self, name: Option<&str>) -> Result<(&str, &Remote), Error> {
        let wanted = name.or(self.default_remote.as_deref());
        let Some(wanted) = wanted else {
            return Err(Error::NoRemote {
                known: self.remotes.keys().cloned().collect(),
            });
        };
        match self.remotes.get_key_value(wanted) {
            Some((name, remote)) => Ok((name, remote)),
            None if self.lost_remotes.iter().any(|lost| lost == wanted) => {
                Err(Error::RemoteWithoutUrl {
                    name: wanted.to_owned(),
                })
            }
            None => Err(Error::UnknownRemote {
                name: wanted.to_owned(),
                nearest: nearest(wanted, self.remotes.keys().map(String::as_str))
                    .map(str::to_owned),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_on_remotes_are_resolved_and_leftovers_do_no_harm() {
        let option = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let options = [
            ("base", vec![option("url", "s3://bucket/")]),
            (
                "top",
                vec![option("url", "remote://base/sub"), option("jobs", "3")],
            ),
            ("round", vec![option("url", "remote://round/x")]),
            ("left", vec![option("password", "x")]),
        ];
        let options = options
            .into_iter()
            .map(|(name, o)| (name.to_owned(), o.into_iter().collect()))
            .collect();
        let (remotes, lost) = of_options(options);
        assert_eq!(remotes["top"].url, "s3://bucket/sub");
        assert_eq!(remotes["top"].jobs, Some(3));
        assert!(remotes["top"].local_folder("top").is_err());
        assert!(remotes["round"].url.starts_with("remote://round/x"));
        assert_eq!(lost, ["left"]);
    }
}
