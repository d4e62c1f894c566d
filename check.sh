#!/usr/bin/env bash
# The one door: format, lints, tests, docs. `./check.sh supply` looks at licences, bans and advisories instead, and
# `./check.sh hunt [ROUNDS]` runs the tests over and over with random cases that nobody has seen yet.
# Needs cargo, a C compiler and python3 with pip; installs what else it needs into the user's cargo home.
set -euo pipefail
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$*"; }

# The same random cases each time: what was green once is green again.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-1}"

supply() {
  command -v cargo-deny >/dev/null || cargo install --locked cargo-deny --version '^0.20'
  step "licences, bans, advisories"
  cargo deny --workspace check
}

tests() {
  if command -v cargo-nextest >/dev/null; then
    # As many at a time as there are cores; a test that hangs is ended and named.
    cargo nextest run --workspace --locked --no-fail-fast "$@"
  else
    cargo test --workspace --locked --no-fail-fast
  fi
}

hunt() {
  for round in $(seq "${1:-10}"); do
    export PROPTEST_RNG_SEED=$((RANDOM * 32768 + RANDOM))
    export INBOXCLAW_SEED="$PROPTEST_RNG_SEED"
    step "round $round, random cases from PROPTEST_RNG_SEED=$PROPTEST_RNG_SEED INBOXCLAW_SEED=$INBOXCLAW_SEED"
    tests --status-level fail
  done
}

checks() {
  step "format"
  cargo fmt --all --check
  for apart in fuzz bench/peers; do cargo fmt --manifest-path "$apart/Cargo.toml" --check; done
  step "lints"
  cargo clippy --workspace --all-targets --locked -- -D warnings
  step "documents to test against"
  scripts/discovery.sh
  step "tests"
  tests
  step "examples in the documentation"
  cargo test --workspace --locked --doc
  step "documentation"
  RUSTDOCFLAGS="-D warnings" cargo doc --workspace --locked --no-deps
}

case "${1:-all}" in
  all) checks ;;
  supply) supply ;;
  hunt) hunt "${2:-}" ;;
  *) echo "usage: ./check.sh [all|supply|hunt [ROUNDS]]" >&2; exit 2 ;;
esac
