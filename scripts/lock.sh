#!/bin/sh
# Resolve all dependencies anew and write the lock files. Needs `uv` (pip install uv).
#
# The locks are universal (every platform, Python 3.11 and later), carry the hashes that the public registry serves, and
# name no registry, so that an installation with another index works.
set -eu
cd "$(dirname "$0")/.."

compile() {
    uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-header --no-config "$@"
}

compile pyproject.toml --group build --output-file requirements.lock
compile pyproject.toml --group build --group dev --constraint requirements.lock --output-file requirements-dev.lock
compile pyproject.toml --group build --group dev --group bench --constraint requirements-dev.lock \
    --output-file requirements-bench.lock
compile tests/benchmarks/agentdojo.in --constraint requirements.lock --output-file tests/benchmarks/agentdojo.lock

# Gateways that `make bench` measures beside ours: each in a place of its own, so each with a lock of its own.
peers=tests/benchmarks/peers
echo 'mcp-proxy==0.13.0' | compile - --output-file "$peers/mcp-proxy.lock"
echo 'fastmcp==4.1.*' | compile - --output-file "$peers/fastmcp.lock"

# What images of built-in servers have from the index: for their Debian's Python alone, and wheels only.
for wanted in images/muxi_images/*/requirements.in; do
    if [ -f "$wanted" ]; then
        uv pip compile --quiet --upgrade --python-version 3.13 --python-platform x86_64-manylinux_2_28 --generate-hashes \
            --only-binary :all: --no-emit-index-url --no-header --no-config "$wanted" --output-file "${wanted%.in}.txt"
    fi
done

if grep -nE '://|^ *(-f|--find-links|--index-url|--extra-index-url)| @ |file:|^/' requirements.lock requirements-dev.lock requirements-bench.lock \
    tests/benchmarks/agentdojo.lock "$peers"/*.lock $(find images -name requirements.txt); then
    echo "a lock names a host or a local path: see the lines above" >&2
    exit 1
fi
