//! `cvops commit`: the workspace recorded as it is.

use snapbox::str;

use crate::support::check;
use crate::support::stages::sample;

#[test]
fn outputs_changed_by_hand_are_the_result_then() {
    let p = sample();
    p.ok("repro");
    p.ran();
    check(&p.cvops("commit"), str![]);
    p.write("tally.txt", "mine\n");
    check(&p.cvops("commit"), str![]);
    check(&p.cvops("status"), str![]);
    p.write("top.txt", "MINE\n");
    check(&p.cvops("commit --json top"), str![]);
    assert_eq!(p.ran(), "");
}

#[test]
fn inputs_that_changed_need_to_be_insisted_on() {
    let p = sample();
    check(&p.cvops("commit prepare"), str![]);
    p.ok("repro");
    p.write("params.yaml", "lines: 1\n");
    p.write("data/words.txt", "fig\n");
    let lock = p.read("pipeline.lock");
    check(&p.cvops("commit"), str![]);
    assert_eq!(p.read("pipeline.lock"), lock);
    check(&p.cvops("commit -f -d top"), str![]);
    check(&p.cvops("status"), str![]);
    p.remove("top.txt");
    check(&p.cvops("commit -f top"), str![]);
}
