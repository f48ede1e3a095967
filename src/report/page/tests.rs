//! Tests of the page.

use proptest::prelude::*;

use super::*;
use crate::report::chart::{Axis, LineChart, Naming, Series};
use crate::report::svg::tests::assert_well_formed;

fn page(text: &str, png: Vec<u8>) -> Page {
    let mut table = Table::new([(text, Align::Left), ("F1", Align::Right)]);
    table.row([text, "0.81"]);
    let chart = LineChart {
        title: text.to_owned(),
        x: Axis::linear(text),
        y: Axis::linear(text),
        series: vec![Series { name: text.to_owned(), points: vec![(0.0, 1.0), (1.0, 2.0)] }],
        naming: Naming::Direct,
    };
    let fact = |tone| PictureFact { name: text.to_owned(), value: text.to_owned(), tone };
    let tile = Tile { label: text.to_owned(), value: text.to_owned(), note: text.to_owned() };
    let blocks = vec![
        Block::Prose(text.to_owned()),
        Block::Tiles(vec![tile]),
        Block::Charts(vec![Chart { svg: chart.svg(), caption: text.to_owned() }]),
        Block::Table { table, caption: text.to_owned() },
        Block::Pictures(vec![Picture { png, alt: text.to_owned(), facts: vec![fact(Tone::Good), fact(Tone::Bad)] }]),
    ];
    let section = Section { heading: text.to_owned(), blocks };
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
fn a_page_needs_nothing_else() {
    let html = page("</style><script>alert(1)</script> https://example.org", vec![1, 2, 3]).html();
    assert!(!html.contains("<script") && !html.contains("src=\"http") && !html.contains("url("));
    assert!(html.contains("data:image/png;base64,AQID"));
}

#[test]
fn samples() {
    use crate::report::chart::*;
    let d = "/tmp/report-samples";
    std::fs::create_dir_all(d).unwrap();
    let names = ["T-shirt/top","Trouser","Pullover","Dress","Coat","Sandal","Shirt","Sneaker","Bag","Ankle boot"];
    let counts: Vec<Vec<u64>> = (0..10).map(|r| (0..10).map(|c| if r==c {80 + (r as u64*3)%17} else if (r+c)%3==0 {(r as u64*7+c as u64*5)%9} else {0}).collect()).collect();
    let cm = ConfusionMatrix { title: "Confusion matrix, test split".into(), classes: names.iter().map(|s| s.to_string()).collect(), counts };
    let cm30 = ConfusionMatrix { title: "Thirty".into(), classes: (0..30).map(|i| format!("species number {i}")).collect(), counts: (0..30).map(|r| (0..30).map(|c| if r==c {80} else {u64::from((r*7+c*3)%11==0)}).collect()).collect() };
    let cm100 = ConfusionMatrix { title: "Hundred".into(), classes: (0..100).map(|i| format!("species number {i}")).collect(), counts: (0..100).map(|r| (0..100).map(|c| if r==c {80} else {u64::from((r*7+c*3)%11==0)}).collect()).collect() };
    let cm2 = ConfusionMatrix { title: "Two".into(), classes: vec!["cat".into(),"dog".into()], counts: vec![vec![480,20],vec![45,455]] };
    let line = LineChart { title: "Loss per epoch".into(), x: Axis::linear("epoch"), y: Axis::linear("loss (nats)"), naming: Naming::Direct,
      series: vec![Series{name:"train".into(), points: (1..=12).map(|i| (i as f64, 2.2*(-0.3*i as f64).exp()+0.2)).collect()}, Series{name:"validation".into(), points:(1..=12).map(|i| (i as f64, if i==6 {f64::NAN} else {2.0*(-0.28*i as f64).exp()+0.4+0.01*i as f64})).collect()}] };
    let log = LineChart { title: "Learning-rate search".into(), x: Axis::log("learning rate"), y: Axis::linear("accuracy"), naming: Naming::Legend,
      series: (0..10).map(|k| Series{name: format!("trial number {k}"), points: (0..60).map(|i| { let x=10f64.powf(-5.0+i as f64/15.0); (x, 0.5+0.04*k as f64 - 0.03*(x.log10()+2.5).powi(2)) }).collect()}).collect() };
    let bars = BarChart { title: "F1 per class".into(), subtitle: "whiskers: 95 % interval from 1,000 bootstrap samples".into(), axis_title: "F1".into(), axis_max: Some(1.0), format: NumberFormat::Decimals(3),
      bars: names.iter().enumerate().map(|(i,n)| { let v = 0.97-0.04*i as f64; Bar{label:n.to_string(), value: if i==9 {f64::NAN} else {v}, interval: (i!=9).then_some((v-0.05, (v+0.04f64).min(1.0)))} }).collect() };
    let rel = ReliabilityDiagram { title: "Calibration".into(), subtitle: "expected calibration error 0.041 over 10 intervals".into(), bins: (0..10).map(|i| { let f=i as f64/10.0; ReliabilityBin{from:f,to:f+0.1,confidence:if i==0 {f64::NAN} else {f+0.05},accuracy: if i==0 {f64::NAN} else if i<4 {f+0.1} else {f-0.03}, count: if i==0 {0} else {3*(i as u64).pow(2)*if i==9 {5} else {1}}} }).collect() };
    let hist = Histogram { title: "Confidence of the predictions".into(), x_title: "confidence".into(), y_title: "images".into(), edges: (0..=20).map(|i| i as f64/20.0).collect(), series: vec![HistogramSeries{name:"right".into(), counts:(0..20).map(|i| i*i).collect()}, HistogramSeries{name:"wrong".into(), counts:(0..20).map(|i| 20-(i as u64)).collect()}] };
    for (n, s) in [("cm",cm.svg()),("cm30",cm30.svg()),("cm100",cm100.svg()),("cm2",cm2.svg()),("line",line.svg()),("log",log.svg()),("bars",bars.svg()),("rel",rel.svg()),("hist",hist.svg())] { std::fs::write(format!("{d}/{n}.svg"), s.as_str()).unwrap(); }
    let mut table = Table::new([("Class", Align::Left), ("Precision", Align::Right), ("Recall", Align::Right), ("F1", Align::Right), ("Images", Align::Right)]);
    for (i,n) in names.iter().enumerate() { table.row([n.to_string(), format!("{:.3}",0.9-0.02*i as f64), format!("{:.3}",0.91-0.02*i as f64), format!("{:.3}",0.905-0.02*i as f64), "100".into()]); }
    let mut pngs: Vec<_> = walk("/work/shared/data/fashion5k/test"); pngs.sort();
    let pictures = pngs.iter().step_by(1.max(pngs.len()/12)).take(12).map(|p| Picture { png: std::fs::read(p).unwrap(), alt: "Shirt taken for T-shirt/top".into(), facts: vec![PictureFact{name:"true".into(), value:"Shirt".into(), tone:Tone::Neutral}, PictureFact{name:"predicted".into(), value:"T-shirt/top".into(), tone:Tone::Bad}, PictureFact{name:"confidence".into(), value:"97.3 %".into(), tone:Tone::Neutral}] }).collect();
    let c = |svg, caption: &str| Chart { svg, caption: caption.into() };
    let t = |l: &str, v: &str, n: &str| Tile { label: l.into(), value: v.into(), note: n.into() };
    let page = Page { title: "Evaluation of models/classifier".into(), subtitle: "How well the classifier tells 10 kinds of clothing apart, measured on 1,000 pictures it has never seen.".into(),
      facts: vec![("Model".into(),"cnn35, 94,218 weights".into()),("Data".into(),"fashion5k, test split".into()),("Images".into(),"1,000".into()),("Classes".into(),"10".into()),("Model hash".into(),"3f9a12b07c44".into()),("Seed".into(),"42".into())],
      sections: vec![
        Section{heading:"Summary".into(), blocks: vec![Block::Tiles(vec![t("Accuracy","84.1 %","95 % interval 81.9 to 86.2 %"),t("Top-3 accuracy","97.8 %",""),t("Macro F1","0.839","unweighted mean over classes"),t("Calibration error","0.041","0 is perfect")]), Block::Prose("Of 100 pictures the model names 84 right. Most mistakes are made between shirts, pullovers and coats, which look alike at 35 by 35 pixels.".into())]},
        Section{heading:"Training".into(), blocks: vec![Block::Charts(vec![c(line.svg(),"The curves stay close together: the model does not learn by heart."), c(log.svg(), "")])]},
        Section{heading:"Per class".into(), blocks: vec![Block::Charts(vec![c(cm.svg(),"Each row is a true class."), c(bars.svg(),"")]), Block::Table{table, caption:"Measures per class on the test split".into()}]},
        Section{heading:"Calibration".into(), blocks: vec![Block::Charts(vec![c(rel.svg(),""), c(hist.svg(),"")])]},
        Section{heading:"Worst mistakes".into(), blocks: vec![Block::Prose("Wrong predictions the model was surest of.".into()), Block::Pictures(pictures)]},
      ], footer: "Written by cvops 0.1.0".into() };
    std::fs::write(format!("{d}/page.html"), page.html()).unwrap();
}
#[cfg(test)]
fn walk(d: &str) -> Vec<std::path::PathBuf> { let mut v=vec![]; if let Ok(r)=std::fs::read_dir(d) { for e in r.flatten() { let p=e.path(); if p.is_dir() { v.extend(walk(p.to_str().unwrap())); } else if p.extension().is_some_and(|x| x=="png") { v.push(p); } } } v }
