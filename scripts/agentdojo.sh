#!/bin/bash
# Make the environment for `make bench-policy` in the cache folder, and print its Python: scripts/agentdojo.sh
#
# Installs what tests/benchmarks/agentdojo.lock lists, hashes checked; does nothing if that was done already.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=tests/benchmarks/agentdojo.lock
folder=${XDG_CACHE_HOME:-$HOME/.cache}/muxi-runtime/agentdojo
stamp=$folder/.installed
state=$(cat "$lock" <(.venv/bin/python --version) | sha256sum | cut -d' ' -f1)

if [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
    echo "> bench-policy: making $folder" >&2
    mkdir -p "$(dirname "$folder")"
    .venv/bin/python -m venv --clear "$folder" >&2
    "$folder/bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps \
        --requirement "$lock" >&2
    echo "$state" >"$stamp"
fi
echo "$folder/bin/python"
