//! Tests of the page.

use proptest::prelude::*;

use super::*;
use crate::report::chart::{Axis, LineChart, Naming, Series};
use crate::report::svg::tests::assert_well_formed;

fn page(text: &str, png: Vec<u8>) -> Page {
    let mut table = Table::new([(text, Align::Left), ("F1", Align::Right)]);
    table.row([text, "0.81"]).sentences(0);
    let chart = LineChart {
        title: text.to_owned(),
        x: Axis::linear(text),
        y: Axis::linear(text),
        series: vec![Series {
            name: text.to_owned(),
            points: vec![(0.0, 1.0), (1.0, 2.0)],
        }],
        naming: Naming::Direct,
    };
    let fact = |tone| PictureFact::new(text, text, tone);
    let tile = Tile {
        label: text.to_owned(),
        value: text.to_owned(),
        note: text.to_owned(),
    };
    let blocks = vec![
        Block::Prose(text.to_owned()),
        Block::Tiles(vec![tile]),
        Block::Charts(vec![Chart {
            svg: chart.svg(),
            caption: text.to_owned(),
        }]),
        Block::Table {
            table,
            caption: text.to_owned(),
        },
        Block::Pictures(vec![Picture {
            png,
            alt: text.to_owned(),
            facts: vec![
                fact(Tone::Good),
                fact(Tone::Bad),
                PictureFact::sentence(text, text),
            ],
        }]),
    ];
    let section = Section {
        heading: text.to_owned(),
        blocks,
    };
    Page {
        title: text.to_owned(),
        subtitle: text.to_owned(),
        facts: vec![(text.to_owned(), text.to_owned())],
        sections: vec![section.clone(), section],
        footer: text.to_owned(),
    }
}

proptest! {
    #[test]
    fn any_text_gives_a_well_formed_page(text in any::<String>(), png in prop::collection::vec(any::<u8>(), 0..50)) {
        let page = page(&text, png);
        assert_well_formed(&page.html());
        prop_assert_eq!(page.html(), page.html());
    }
}

#[test]
fn backticks_are_code_in_sentences_and_stay_in_names() {
    let mut table = Table::new([("file", Align::Left), ("what", Align::Left)]);
    table.row(["a`b`c", "like `d`"]).sentences(1);
    let picture = Picture {
        png: Vec::new(),
        alt: String::new(),
        facts: vec![
            PictureFact::new("file", "e`f`g", Tone::Neutral),
            PictureFact::sentence("what", "as `h`"),
        ],
    };
    let mut page = page("", Vec::new());
    page.sections[0].blocks = vec![
        Block::Prose("run `i`".to_owned()),
        Block::Table {
            table,
            caption: String::new(),
        },
        Block::Pictures(vec![picture]),
    ];
    let html = page.html();
    for expected in [
        ">a`b`c</th><td>like <code>d</code></td>",
        "<dd>e`f`g</dd><dt>what</dt><dd>as <code>h</code></dd>",
        "<p>run <code>i</code></p>",
    ] {
        assert!(html.contains(expected), "no {expected}");
    }
}

#[test]
fn pictures_are_taken_while_there_is_room() {
    let picture = |bytes: usize| Picture {
        png: vec![0; bytes],
        alt: String::new(),
        facts: Vec::new(),
    };
    // 3 bytes are 4 in base64, and 4 more are allowed for.
    let sizes = [3, 3, 30, 3];
    assert_eq!(fitting(sizes.map(picture), 16).len(), 2);
    assert_eq!(fitting(sizes.map(picture), 15).len(), 1);
    assert_eq!(fitting(sizes.map(picture), 1000).len(), 4);
    let endless = std::iter::repeat_with(|| picture(3));
    assert_eq!(fitting(endless, 80).len(), 10);
}

#[test]
fn a_page_needs_nothing_else() {
    let html = page(
        "</style><script>alert(1)</script> https://example.org",
        vec![1, 2, 3],
    )
    .html();
    assert!(!html.contains("<script") && !html.contains("src=\"http") && !html.contains("url("));
    assert!(html.contains("data:image/png;base64,AQID"));
}
