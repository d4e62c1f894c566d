#!/usr/bin/env bash
# The one door: format, lints, tests, docs. `./check.sh supply` looks at licences, bans and advisories instead.
# Needs cargo, a C compiler and python3 with pip; installs what else it needs into the user's cargo home.
set -euo pipefail
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$*"; }

supply() {
  command -v cargo-deny >/dev/null || cargo install --locked cargo-deny --version '^0.20'
  step "licences, bans, advisories"
  cargo deny --workspace check
}

checks() {
  step "format"
  # Not `cargo fmt`: it does not see the modules that the lists of connectors declare.
  find crates bench fuzz -name target -prune -o -name '*.rs' -print0 | xargs -0 rustfmt --check --edition 2024
  step "lints"
  cargo clippy --workspace --all-targets --locked -- -D warnings
  step "documents to test against"
  scripts/discovery.sh
  step "tests"
  if command -v cargo-nextest >/dev/null; then
    # As many at a time as there are cores; a test that hangs is ended and named.
    cargo nextest run --workspace --locked --no-fail-fast
  else
    cargo test --workspace --locked --no-fail-fast
  fi
  step "examples in the documentation"
  cargo test --workspace --locked --doc
  step "documentation"
  RUSTDOCFLAGS="-D warnings" cargo doc --workspace --locked --no-deps
}

case "${1:-all}" in
  all) checks ;;
  supply) supply ;;
  *) echo "usage: ./check.sh [all|supply]" >&2; exit 2 ;;
esac
