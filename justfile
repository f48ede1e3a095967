# Recipes of one or two lines; anything longer is a script, anything checkable is a test.

# List the recipes
default:
    @just --list

# Format, lint, and prove that the engine builds without vision
check:
    cargo fmt --check
    cargo clippy --release --all-targets -- -D warnings
    cargo clippy --release --no-default-features -- -D warnings

# Run all tests; `just test why` runs those whose name holds `why`
test *ARGS:
    cargo test --release -- {{ ARGS }}

# Accept the changed transcripts; read the diff before you commit it
accept *ARGS:
    SNAPSHOTS=overwrite cargo test --release --test it -- {{ ARGS }}

# Write docs/reference/commands/ anew from the command table
reference:
    SNAPSHOTS=overwrite cargo test --release --test it -- manual

# Run the example project: this repository
repro *ARGS:
    cargo run --release -- repro {{ ARGS }}

# Measure; each script prints rows for docs/benchmarks.md
bench NAME="noop":
    cargo build --release
    scripts/bench/{{ NAME }}.sh

# Check rules, dashboard and containers by their own tools, and with a real Prometheus
monitoring:
    cargo build --release
    scripts/check-monitoring.sh

# Build the API documentation
docs:
    cargo doc --no-deps --document-private-items

# Check licences, banned crates and sources (needs cargo-deny)
deny:
    cargo deny check bans licenses sources

# Exactly what CI runs
ci:
    .ci/run
