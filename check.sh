#!/usr/bin/env bash
# The checks, in tiers. Each prints how long it took and fails when it took longer than its budget.
#
#   ./check.sh               12 min  format, lints, tests, documentation: no network, installs nothing
#   ./check.sh peers         10 min  what is compared with others' files, which are fetched (PyPI, npm, crates.io)
#   ./check.sh long                  before a release: cases on a release build, long random lives, fresh random cases
#   ./check.sh hunt [ROUNDS]         the tests over and over with random cases that nobody has seen yet
#
# --install lets a tier install what it needs with apt-get and cargo; without it, what is missing is named. What a tier
# leaves out is said at its end. CHECK_BUDGET=N multiplies the budgets, for a build from nothing or a busy machine.
set -euo pipefail
cd "$(dirname "$0")"

# The same random cases each time: what was green once is green again.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-1}"

documents="${CARGO_TARGET_DIR:-target}/discovery"
install=no
left_out=()

step() { printf '\n== %s\n' "$*"; }

# need COMMAND PACKAGE: a command, or the Debian package that has it.
need() {
  command -v "$1" >/dev/null && return
  if [[ "$install" == yes ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${@:2}"
  else
    echo "check.sh: $1 is missing (Debian: apt-get install ${*:2}); --install installs it" >&2
    exit 1
  fi
}

# end TIER MINUTES: tells how long it took and what was left out.
end() {
  local most=$(($2 * 60 * ${CHECK_BUDGET:-1}))
  local what
  for what in ${left_out[@]+"${left_out[@]}"}; do printf '\nleft out: %s' "$what"; done
  printf '\n\n%s: %d s of %d s\n' "$1" "$SECONDS" "$most"
  if ((SECONDS > most)); then
    echo "check.sh: $1 took longer than its budget: make it faster, or move what is slow into another tier" >&2
    exit 1
  fi
}

# tests [OPTION…]: all tests but the one that needs Google's descriptions, where these are missing.
tests() {
  local without=()
  if [[ "${INBOXCLAW_DISCOVERY:-}" == none ]]; then
    without=(the_real_documents_know_the_real_requests)
  fi
  if command -v cargo-nextest >/dev/null; then
    # As many at a time as there are cores, those that start servers two at a time (.config/nextest.toml). A test that
    # hangs is ended and named.
    cargo nextest run --workspace --locked --no-fail-fast ${without[@]+-E "not test(${without[0]})"} "$@"
  else
    cargo test --workspace --locked --no-fail-fast -- --test-threads 2 ${without[@]+--skip "${without[0]}"}
  fi
}

check() {
  need cc gcc libc6-dev
  step "format"
  cargo fmt --all --check
  for apart in fuzz bench/peers; do cargo fmt --manifest-path "$apart/Cargo.toml" --check; done
  step "lints"
  cargo clippy --workspace --all-targets --locked -- -D warnings
  step "tests"
  if [[ ! -d "$documents" ]]; then
    export INBOXCLAW_DISCOVERY=none
    left_out+=("requests and answers of the Google tests against Google's descriptions, and one test of these (./check.sh peers)")
  fi
  tests
  step "examples in the documentation"
  cargo test --workspace --locked --doc
  step "documentation"
  RUSTDOCFLAGS="-D warnings" cargo doc --workspace --locked --no-deps
  left_out+=("licences and advisories, the peers of the benchmarks (./check.sh peers)")
  left_out+=("cases from bug reports, long random lives, fuzzing (./check.sh long)")
  end check 12
}

peers() {
  need python3 python3 python3-pip
  need c++ g++
  step "Google's descriptions of its services"
  scripts/discovery.sh
  step "tests of the Google sources and their stand-in against them"
  cargo test --locked --quiet -p inboxclaw-fakes
  cargo test --locked --quiet -p inboxclaw-connectors --test google --test gmail --test google_calendar --test google_drive
  cargo test --locked --quiet -p inboxclaw --test google
  step "webhooks, judged by the libraries of receivers"
  need node nodejs npm
  scripts/webhook-peers.sh
  step "peers of the benchmarks and fuzz targets build"
  cargo check --locked --manifest-path bench/peers/Cargo.toml
  cargo check --locked --manifest-path fuzz/Cargo.toml
  if command -v cargo-deny >/dev/null; then
    step "licences, bans, advisories"
    cargo deny --workspace check
  else
    left_out+=("licences, bans and advisories: cargo-deny is missing (cargo install --locked cargo-deny)")
  fi
  end peers 10
}

long() {
  step "cases from public bug reports, on a release build"
  cargo build --release --locked -p inboxclaw -p inboxclaw-fakes
  scripts/cases.sh
  step "long random lives of the Google sources, one at a time"
  INBOXCLAW_SECONDS="${INBOXCLAW_SECONDS:-240}" cargo nextest run -p inboxclaw --test google -j 1 reported_once
  step "links that are swapped while they are read"
  INBOXCLAW_SECONDS=60 cargo nextest run -p inboxclaw --test swapped_links
  hunt 3
}

hunt() {
  local round
  for round in $(seq "${1:-10}"); do
    export PROPTEST_RNG_SEED=$((RANDOM * 32768 + RANDOM))
    export INBOXCLAW_SEED="$PROPTEST_RNG_SEED"
    step "round $round, random cases from PROPTEST_RNG_SEED=$PROPTEST_RNG_SEED INBOXCLAW_SEED=$INBOXCLAW_SEED"
    tests --status-level fail
  done
}

arguments=()
for argument in "$@"; do
  if [[ "$argument" == --install ]]; then install=yes; else arguments+=("$argument"); fi
done
set -- "${arguments[@]:-check}"
case "$1" in
  check | peers | long) "$1" ;;
  hunt) hunt "${2:-}" ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
