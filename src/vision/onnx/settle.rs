//! Brings together what a network declares and what is said of it beside, and complains where they
//! contradict each other or leave something open.
//! Imports: base, `onnx::{description`, graph}, `vision::{image`, train, error}.

use crate::base::doc::{KeyPath, On, Problems};
use crate::vision::Error;
use crate::vision::image::{Channels, Target};
use crate::vision::train::Normalisation;

use super::description::{Description, Layout, Output, SIDE_MAX};
use super::graph::Graph;

/// How far the probabilities of a picture may be from 1 together, by rounding.
const SUM_TOLERANCE: f64 = 1e-3;

/// What a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) layout: Layout,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: Channels,
}

impl Input {
    /// Returns height, width and channels.
    pub(super) fn shape(&self) -> [usize; 3] {
        [self.height, self.width, self.channels.count()]
    }

    /// Returns how pictures are fitted to it.
    pub(super) fn target(&self, description: &Description) -> Target {
        Target {
            height: self.height as u32,
            width: self.width as u32,
            channels: self.channels,
            filter: description.filter,
            background: description.background,
        }
    }
}

/// Finds out what a network takes.
///
/// # Errors
/// Something is left open by both, or they contradict each other.
pub(super) fn input(graph: &Graph, description: &Description) -> Result<Input, Error> {
    let [a, b, c] = graph.shape;
    let layout = layout(graph, description)?;
    let (declared, height, width) = match layout {
        Layout::Nchw => (a, b, c),
        Layout::Nhwc => (c, a, b),
    };
    let open = |key: &str, what: &str, example: &str| {
        let file = description.file();
        Error::Onnx {
            path: graph.path.clone(),
            problem: format!("its input `{}` says nothing of {what}", graph.input),
            help: format!("write `{key}: {example}` into `{file}`"),
        }
    };
    let problems = Problems::new(&description.document);
    let against = |key: &str, said: &str, declared: &str| {
        let headline = format!("`{key}` says {said}, and the network takes {declared}");
        let help = Some(format!(
            "remove the key: `{}` says it",
            graph.path.display()
        ));
        problems.report(
            &KeyPath::root().key(key),
            On::Value,
            "against-network",
            headline,
            "",
            help,
        );
    };
    let known = declared.map(|count| Channels::from_count(count as u64).ok_or(count));
    let channels = match (known, description.channels) {
        (Some(Err(count)), _) => {
            return Err(Error::Onnx {
                path: graph.path.clone(),
                problem: format!("it takes pictures of {count} channels, and not of 1 (grey) or 3 (colour)"),
                help: "if its dimensions stand in another order, write `layout: nchw` or `layout: nhwc` \
                       into its description"
                    .to_owned(),
            });
        }
        (Some(Ok(known)), said) => {
            if let Some(said) = said.filter(|said| *said != known) {
                against(
                    "channels",
                    &said.count().to_string(),
                    &known.count().to_string(),
                );
            }
            known
        }
        (None, Some(said)) => said,
        (None, None) => return Err(open("channels", "its channels", "3")),
    };
    if let Some([said_height, said_width]) = description.size {
        let differs = |declared: Option<usize>, said| declared.is_some_and(|side| side != said);
        if differs(height, said_height) || differs(width, said_width) {
            let shown =
                |side: Option<usize>| side.map_or_else(|| "?".to_owned(), |s| s.to_string());
            let takes = format!("[{}, {}]", shown(height), shown(width));
            against("size", &format!("[{said_height}, {said_width}]"), &takes);
        }
    }
    let side = |declared: Option<usize>, which: usize| {
        let said = description.size.map(|size| size[which]);
        let side = declared.or(said);
        side.ok_or_else(|| open("size", "the size of pictures", "[224, 224]"))
    };
    let (height, width) = (side(height, 0)?, side(width, 1)?);
    if SIDE_MAX < height.max(width) {
        return Err(Error::Onnx {
            path: graph.path.clone(),
            problem: format!(
                "it takes pictures of {height}×{width} pixels, more than {SIDE_MAX} a side"
            ),
            help: "export it for smaller pictures".to_owned(),
        });
    }
    for (key, numbers) in [("mean", &description.mean), ("std", &description.std)] {
        if numbers.len() != 1 && numbers.len() != channels.count() {
            let (given, taken) = (numbers.len(), channels.count());
            against(
                key,
                &format!("{given} numbers"),
                &format!("{taken} channel(s)"),
            );
        }
    }
    let input = Input {
        layout,
        height,
        width,
        channels,
    };
    problems.into_result(input).map_err(Error::Description)
}

fn layout(graph: &Graph, description: &Description) -> Result<Layout, Error> {
    if let Some(layout) = description.layout {
        return Ok(layout);
    }
    let [first, _, last] = graph.shape;
    let holding = |are_channels: &dyn Fn(usize) -> bool| {
        let is = |side: Option<usize>| side.is_some_and(are_channels);
        match (is(first), is(last)) {
            (true, false) => Some(Layout::Nchw),
            (false, true) => Some(Layout::Nhwc),
            (true, true) | (false, false) => None,
        }
    };
    let said = description.channels;
    let said = said.and_then(|channels| holding(&|side| side == channels.count()));
    if let Some(layout) = said.or_else(|| holding(&|side| matches!(side, 1 | 3))) {
        return Ok(layout);
    }
    let sides = graph.shape.iter();
    let shown = sides.map(|side| side.map_or_else(|| "?".to_owned(), |side| side.to_string()));
    let shown: Vec<String> = shown.collect();
    Err(Error::Onnx {
        path: graph.path.clone(),
        problem: format!(
            "which dimension of its input `{}` (batch×{}) holds the channels cannot be told",
            graph.input,
            shown.join("×")
        ),
        help: format!(
            "write `layout: nchw` (PyTorch) or `layout: nhwc` (Keras) into `{}`",
            description.file()
        ),
    })
}

/// Returns how pictures of values 0 to 1 are centred and scaled: `(value·255·scale - mean) / std`.
pub(super) fn normalisation(description: &Description, input: &Input) -> Normalisation {
    let to_unit = 255.0 * description.scale;
    let each = |numbers: &[f64]| -> Vec<f64> {
        let numbers = numbers.iter().cycle().take(input.channels.count());
        numbers.map(|number| number / to_unit).collect()
    };
    Normalisation {
        mean: each(&description.mean),
        std: each(&description.std),
    }
}

/// Names the classes of a network that gave `answer` for a picture, and says what its numbers are.
///
/// # Errors
/// There are fewer than two; the description names others; what it calls probabilities are none.
pub(super) fn classes(
    graph: &Graph,
    description: &Description,
    answer: &[f32],
) -> Result<(Vec<String>, Output), Error> {
    let count = answer.len();
    if count < 2 {
        return Err(Error::Onnx {
            path: graph.path.clone(),
            problem: format!(
                "it gives {count} number(s) for a picture, and a classifier gives one for each class"
            ),
            help: "export it with two outputs in place of a single probability".to_owned(),
        });
    }
    let problems = Problems::new(&description.document);
    let against = |key: &str, headline: String, help: &str| {
        let at = KeyPath::root().key(key);
        problems.report(
            &at,
            On::Value,
            "against-network",
            headline,
            "",
            Some(help.to_owned()),
        );
    };
    if let Some(classes) = description.classes.as_ref().filter(|c| c.len() != count) {
        let headline = format!(
            "`classes` has {} names, and the network gives {count} numbers",
            classes.len()
        );
        against(
            "classes",
            headline,
            "name them in the order of the network's outputs",
        );
    }
    let output = description.output.unwrap_or(graph.output);
    if output == Output::Probabilities && !are_probabilities(answer) {
        let sum: f64 = answer.iter().copied().map(f64::from).sum();
        if description.output.is_none() {
            return Err(Error::Onnx {
                path: graph.path.clone(),
                problem: format!("it ends with a softmax, and its numbers for a blank picture are no probabilities: their sum is {sum:.4}"),
                help: "the softmax may run over another dimension than the classes; export it without, or with `axis=1`".to_owned(),
            });
        }
        let headline = format!(
            "`output` says probabilities, and the numbers for a blank picture are none: their sum is {sum:.4}"
        );
        against(
            "output",
            headline,
            "write `output: logits`, or export the network with a softmax",
        );
    }
    let classes = match &description.classes {
        Some(classes) => classes.clone(),
        None => (0..count).map(|class| class.to_string()).collect(),
    };
    problems
        .into_result((classes, output))
        .map_err(Error::Description)
}

fn are_probabilities(answer: &[f32]) -> bool {
    let sum: f64 = answer.iter().copied().map(f64::from).sum();
    let is_one = (sum - 1.0).abs() <= SUM_TOLERANCE;
    is_one && answer.iter().all(|p| (-1e-6..=1.0 + 1e-6).contains(p))
}
