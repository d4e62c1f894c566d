#!/usr/bin/env bash
# Sends webhooks of every form with the real program to receivers that judge them with the libraries that receivers use:
# `standardwebhooks` and the SDKs of CloudEvents, for Python and for JavaScript, pinned by version and checksum.
#
#   scripts/webhook-peers.sh [PROGRAM]     without one it is built
set -euo pipefail
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/webhook-peers"
folder="$(cd "$target/webhook-peers" && pwd)"
program="${1:-}"
secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
paths=(/plain /two /list /structured /binary /batched)

if [[ -z "$program" ]]; then
  cargo build --locked --quiet -p inboxclaw
  program="$target/debug/inboxclaw"
fi

if ! cmp -s scripts/webhook-peers/requirements.txt "$folder/requirements.txt"; then
  python3 -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
    --root-user-action ignore --upgrade \
    --target "$folder/python" -r scripts/webhook-peers/requirements.txt
  cp scripts/webhook-peers/requirements.txt "$folder"
fi
if ! cmp -s scripts/webhook-peers/package-lock.json "$folder/package-lock.json"; then
  cp scripts/webhook-peers/package.json "$folder"
  cp scripts/webhook-peers/package-lock.json "$folder/package-lock.new"
  (cd "$folder" && cp package-lock.new package-lock.json && npm ci --ignore-scripts --no-audit --no-fund --silent) ||
    { rm -f "$folder/package-lock.json"; exit 1; }
fi

work="$(mktemp -d)"
started=()
# Ends what was started here, and nothing else.
clean() {
  local pid
  for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean EXIT

PYTHONPATH="$folder/python" timeout 90 python3 scripts/webhook-peers/receiver.py "$secret" "${paths[@]}" >"$work/python" &
python=$!
MODULES="$folder/node_modules" timeout 90 node scripts/webhook-peers/receiver.mjs "$secret" "${paths[@]}" >"$work/node" &
node=$!
started=("$python" "$node")

port() {
  local _
  for _ in $(seq 100); do
    [[ -s "$1" ]] && head -n 1 "$1" && return
    sleep 0.1
  done
  echo "webhook-peers.sh: a receiver did not start" >&2
  return 1
}

mkdir "$work/notes"
printf 'ahoj ž' >"$work/notes/ž 100%.md"
{
  printf 'server: { port: 0 }\ndatabase: { db_path: %s }\n' "$work/data.db"
  printf 'sources:\n  notes: { type: filesystem, path: %s, start: all }\nsink:\n' "$work/notes"
  for receiver in python node; do
    base="http://127.0.0.1:$(port "$work/$receiver")"
    common="type: webhook, start: all, match: fs.file_created"
    printf '  %s-plain: { %s, url: "%s/plain", secret: %s }\n' "$receiver" "$common" "$base" "$secret"
    printf '  %s-two: { %s, url: "%s/two", secret: [a secret that comes and is a text, %s] }\n' "$receiver" "$common" "$base" "$secret"
    printf '  %s-list: { %s, url: "%s/list", secret: %s, mode: batched }\n' "$receiver" "$common" "$base" "$secret"
    for mode in structured binary batched; do
      printf '  %s-%s: { %s, url: "%s/%s", secret: %s, format: cloudevents, mode: %s }\n' \
        "$receiver" "$mode" "$common" "$base" "$mode" "$secret" "$mode"
    done
  done
} >"$work/config.yaml"
chmod 600 "$work/config.yaml"

"$program" listen --config "$work/config.yaml" >"$work/log" 2>&1 &
started+=("$!")

result=0
wait "$python" || result=1
wait "$node" || result=1
cat "$work/python" "$work/node"
if ((result != 0)); then
  echo "webhook-peers.sh: a receiver refused what it got, or did not get everything; the program says:" >&2
  tail -n 30 "$work/log" >&2
fi
exit "$result"
