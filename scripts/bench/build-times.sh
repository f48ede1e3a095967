#!/usr/bin/env bash
# Build times: cold release build, warm check after an edit in cli, warm build of the tests after an
# edit in a test. Works on a clone with a build directory of its own (some GB, removed at the end);
# crates are taken from cargo's cache if they are there.
#   COLD=no     leaves out the cold figure (the build is still needed once, unmeasured)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
machine
cd "$(clone build)"
export CARGO_TARGET_DIR=$scratch/target CARGO_TERM_COLOR=never
cargo fetch --quiet --locked
measure 1 cargo build --release --locked
if [ "${COLD:-yes}" = yes ]; then
  row "cold \`cargo build --release\`: wall" "$(seconds "$wall")" "aim < 12 min on 2 cores"
  row "cold \`cargo build --release\`: CPU" "$(seconds "$cpu")" "recorded"
fi
row "program, release: size" "$(du -m "$CARGO_TARGET_DIR/release/cvops" | cut -f1) MiB" "recorded"
measure 1 cargo check --release --locked
measure 1 cargo test --release --locked --no-run
# An edit that changes code, not only the time stamp.
edited=src/cli/mod.rs
[ -f "$edited" ] || edited=src/lib.rs
for i in 1 2 3; do printf '#[allow(dead_code, reason = "an edit")]\nconst EDIT_%d: u32 = %d;\n' "$i" "$i" >>"$edited"; done
measure 1 cargo check --release --locked
row "warm \`cargo check\` after an edit in \`$edited\`: wall" "$(seconds "$wall")" "< 15 s"
measure 1 cargo test --release --locked --no-run
row "warm build of all tests after the same edit: wall" "$(seconds "$wall")" "< 90 s"
printf '#[test]\nfn an_edit() {}\n' >>tests/it/tidy.rs
measure 1 cargo test --release --locked --no-run --test it
row "warm build of the tests after an edit in a test: wall" "$(seconds "$wall")" "recorded"
