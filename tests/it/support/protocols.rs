//! The same picture in the forms that serving protocols know, and what `/predict` says of it.

use std::io::Write as _;

use serde_json::{Value, json};

use super::client::{Answer, Server, receive};
use super::pictures;

/// The side of the model of `pictures::PARAMS`.
const SIDE: u32 = 16;

/// Returns the pixels of `stripes(class, number)`, row by row, as a decoder returns them.
pub(crate) fn pixels(class: usize, number: usize) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            pixels.extend(pictures::stripe(class, number, x, y));
        }
    }
    pixels
}

/// Returns them as nested lists: height, width, channels.
pub(crate) fn tensor(class: usize, number: usize) -> Value {
    let pixels = pixels(class, number);
    let rows = pixels.chunks(3 * SIDE as usize);
    let row = |row: &[u8]| json!(row.chunks(3).collect::<Vec<_>>());
    rows.map(row).collect()
}

/// Returns the probabilities that `/predict` answers, in the order of the classes.
pub(crate) fn native(server: &Server, picture: &[u8]) -> Vec<f64> {
    let answer = server.post("/predict", "image/png", picture);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut top = answer.json()["top_k"].as_array().unwrap().clone();
    top.sort_by_key(|one| one["class_id"].as_u64());
    let probability = |one: &Value| one["probability"].as_f64().unwrap();
    top.iter().map(probability).collect()
}

/// Announces a body of 100 MB, sends nothing of it, and waits for the answer.
pub(crate) fn announce_large(server: &Server, path: &str) -> Answer {
    let mut stream = server.connect();
    let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    receive(&mut stream)
}

/// Returns how far rows of probabilities are from those expected, at most.
#[track_caller]
pub(crate) fn max_difference(rows: &Value, expected: &[Vec<f64>]) -> f64 {
    let rows: Vec<Vec<f64>> = serde_json::from_value(rows.clone()).unwrap();
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
    let pairs = rows.iter().zip(expected).flat_map(|(found, expected)| {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected)
    });
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
