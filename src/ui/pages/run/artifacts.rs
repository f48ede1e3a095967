//! `/runs/{id}/artifacts/{*path}`: the files of a run, and a look into each. Imports: base, track,
//! `ui::*`.

use askama::Template;

use super::head::{Head, Part, layout};
use super::overview::artifact_href;
use super::preview::Preview;
use super::raw::download_href;
use super::seen::{Seen, join};
use crate::base::units;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::artifacts::{Entry, check_path};
use crate::ui::asked::Asked;
use crate::ui::layout::Layout;
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::reply;
use crate::ui::site::Site;

/// More names of a folder are left out, and said to be.
const NAMES_MAX: usize = 2000;

/// A folder above what is shown.
struct Above {
    name: String,
    href: String,
}

#[derive(Template)]
#[template(path = "pages/run/artifacts.html")]
struct Page {
    layout: Layout,
    head: Head,
    /// Where the artifacts are, if not here.
    elsewhere: String,
    above: Vec<Above>,
    table: DataTable,
    left_out: usize,
    is_empty: bool,
    preview: Option<Preview>,
    goes_on: bool,
}

pub(super) fn answer(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let seen = Seen::of(asked)?;
    let path = asked.param(1).trim_end_matches('/');
    if !path.is_empty() {
        check_path(path)?;
    }
    let (file, mut entries, folder) = asked.shared.read(|reader| {
        let file = match path {
            "" => None,
            path => seen.file(reader, &asked.artifacts, path)?,
        };
        let folder = match (file, path.rsplit_once('/')) {
            (None, _) => path,
            (Some(_), Some((folder, _))) => folder,
            (Some(_), None) => "",
        };
        let entries = seen.list(reader, &asked.artifacts, folder)?;
        Ok((file, entries, folder))
    })?;
    if file.is_none() && entries.is_empty() && !path.is_empty() {
        return Err(Refused::missing(format!(
            "this run has no artifact `{path}`"
        )));
    }
    entries.sort_by(|a, b| (!a.is_dir, &a.name).cmp(&(!b.is_dir, &b.name)));
    let left_out = entries.len().saturating_sub(NAMES_MAX);
    let table = table(asked, &seen, folder, &entries);
    if let Some(response) = as_file(asked, &[&table])? {
        return Ok(response);
    }
    let page = Page {
        layout: layout(site, asked, &seen, Part::Artifacts),
        head: Head::new(asked, &seen, Part::Artifacts),
        elsewhere: match seen.root() {
            Some(_) => String::new(),
            None => seen.record.info.artifact_uri.clone(),
        },
        above: above(&seen, folder),
        is_empty: entries.is_empty(),
        table,
        left_out,
        preview: file
            .map(|file| Preview::of(asked, &seen, path, &file))
            .transpose()?,
        goes_on: seen.goes_on(),
    };
    reply::html(asked, &page)
}

/// Returns the folders from the top down to `folder`.
fn above(seen: &Seen, folder: &str) -> Vec<Above> {
    let mut all = vec![Above {
        name: "artifacts".to_owned(),
        href: format!("{}/artifacts", seen.href()),
    }];
    let mut path = String::new();
    for name in folder.split('/').filter(|name| !name.is_empty()) {
        path = join(&path, name);
        all.push(Above {
            name: name.to_owned(),
            href: artifact_href(seen, &path),
        });
    }
    all
}

fn table(asked: &Asked, seen: &Seen, folder: &str, entries: &[Entry]) -> DataTable {
    let mut table = DataTable::new(asked, "artifacts", "Files");
    table.columns = vec![
        Column::text("name", "Name"),
        Column::number("size", "Size"),
        Column::text("download", "Download"),
    ];
    let run = seen.id().to_string();
    let rows = entries.iter().take(NAMES_MAX);
    table.rows = rows
        .map(|entry| {
            let path = join(folder, &entry.name);
            let mark = if entry.is_dir { "/" } else { "" };
            vec![
                Cell::Link {
                    text: format!("{}{mark}", entry.name),
                    href: artifact_href(seen, &path),
                },
                match entry.size {
                    Some(size) => Cell::Shown {
                        value: size as f64,
                        text: units::bytes(size),
                    },
                    None => Cell::Empty,
                },
                if entry.is_dir {
                    Cell::Empty
                } else {
                    Cell::Link {
                        text: "Download".to_owned(),
                        href: download_href(&run, &path),
                    }
                },
            ]
        })
        .collect();
    table
}
