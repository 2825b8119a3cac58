#!/bin/bash
# Fetch the official MCP test tools into tests/node/node_modules: locked, hash-checked, no install scripts.
#
# Does nothing if that was done already for the same lock.
set -euo pipefail
cd "$(dirname "$0")/../tests/node"
stamp=node_modules/.installed
wanted=$(cat package.json package-lock.json | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

if ! command -v npm >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "error: npm is needed for the conformance tests." >&2
        echo "   do: sudo apt-get install npm" >&2
        exit 1
    fi
    echo "> node: installing npm"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >/dev/null
fi
echo "> node: installing the MCP test tools, hashes checked"
npm ci --silent
echo "$wanted" >"$stamp"
