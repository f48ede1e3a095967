//! What stands around every page. Imports: project, `ui::asked`, `ui::site`.

use super::asked::Asked;
use super::site::Site;

/// The parts of the UI, in the order of its navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Pipeline,
    Runs,
    Sweeps,
    Models,
    Evaluation,
    Images,
    Data,
    Serving,
    /// None of them.
    Other,
}

impl Section {
    const SHOWN: [Self; 9] = [
        Self::Overview,
        Self::Pipeline,
        Self::Runs,
        Self::Sweeps,
        Self::Models,
        Self::Evaluation,
        Self::Images,
        Self::Data,
        Self::Serving,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Pipeline => "Pipeline",
            Self::Runs => "Runs",
            Self::Sweeps => "Sweeps",
            Self::Models => "Models",
            Self::Evaluation => "Evaluation",
            Self::Images => "Images",
            Self::Data => "Data",
            Self::Serving => "Serving",
            Self::Other => "",
        }
    }

    fn href(self) -> &'static str {
        match self {
            Self::Overview | Self::Other => "/",
            Self::Pipeline => "/pipeline",
            Self::Runs => "/runs",
            Self::Sweeps => "/sweeps",
            Self::Models => "/models",
            Self::Evaluation => "/evaluation",
            Self::Images => "/images",
            Self::Data => "/data",
            Self::Serving => "/serving",
        }
    }
}

/// One entry of the navigation.
pub(super) struct Nav {
    pub(super) title: &'static str,
    pub(super) href: &'static str,
    pub(super) is_here: bool,
}

/// What stands above a page and leads back.
pub(super) struct Crumb {
    pub(super) text: String,
    pub(super) href: String,
}

/// What stands around a page.
pub(super) struct Layout {
    pub(super) title: String,
    pub(super) section: Section,
    pub(super) crumbs: Vec<Crumb>,
    /// The name of the project: that of its folder.
    pub(super) project: String,
    /// Who is logged in.
    pub(super) user: Option<String>,
    /// The theme that the URL asks for: `light`, `dark`, or empty for the reader's own.
    pub(super) theme: &'static str,
    /// ES modules of this page, by name.
    pub(super) modules: Vec<&'static str>,
}

impl Layout {
    /// Frames a page.
    pub(super) fn new(site: &Site, asked: &Asked, section: Section, title: &str) -> Self {
        let theme = match asked.query.get("theme") {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "",
        };
        Self {
            user: asked.user.as_ref().map(|user| user.name.clone()),
            theme,
            ..Self::bare(site, section, title)
        }
    }

    /// Frames a page when nothing is known of who asks.
    pub(super) fn bare(site: &Site, section: Section, title: &str) -> Self {
        let folder = site.project.root.file_name();
        Self {
            title: title.to_owned(),
            section,
            crumbs: Vec::new(),
            project: folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            user: None,
            theme: "",
            modules: Vec::new(),
        }
    }

    /// Adds what leads back: from the section's own page downwards.
    pub(super) fn crumb(mut self, text: impl Into<String>, href: impl Into<String>) -> Self {
        self.crumbs.push(Crumb {
            text: text.into(),
            href: href.into(),
        });
        self
    }

    /// Adds an ES module (`chart.js`).
    pub(super) fn module(mut self, name: &'static str) -> Self {
        self.modules.push(name);
        self
    }

    pub(super) fn nav(&self) -> impl Iterator<Item = Nav> {
        let here = self.section;
        Section::SHOWN.into_iter().map(move |section| Nav {
            title: section.title(),
            href: section.href(),
            is_here: section == here,
        })
    }
}
