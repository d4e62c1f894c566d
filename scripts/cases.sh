#!/usr/bin/env bash
# Runs cases that users of programs of this kind reported against the release binary, and prints a table of what came.
# `scripts/cases.sh --help` says how to choose cases and how to compare with another binary.
# Needs python3 (standard library only); cases of the clock need Debian's `faketime`. Ends with 1 when a case fails.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"

if [[ -z "${INBOXCLAW:-}" && " $* " != *" --help "* && " $* " != *" --list "* ]]; then
  (cd "$root" && cargo build --release --locked --quiet -p inboxclaw)
fi
export INBOXCLAW="${INBOXCLAW:-${CARGO_TARGET_DIR:-$root/target}/release/inboxclaw}"
export PYTHONDONTWRITEBYTECODE=1
exec python3 "$root/scripts/cases/main.py" "$@"
