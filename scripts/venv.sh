#!/bin/bash
# Make .venv with the locked, hash-checked dependencies and this package: scripts/venv.sh requirements.lock
#
# Does nothing if that was done already for the same locks. Later changes to the code need nothing: the package is
# installed as a link to this folder.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=$1
stamp=.venv/.installed

fail() {
    echo "error: $1" >&2
    echo "   do: $2" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed; python3 is $(python3 --version 2>/dev/null || echo missing)." \
        "sudo apt-get install python3 (Debian 12 or Ubuntu 24.04 and later), or: make PYTHON=/path/to/python3.11 ..."
}

ensure_venv_module() {
    local package
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$1" -c 'import sys; print("python{}.{}-venv".format(*sys.version_info))')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "This Python cannot make virtual environments." "sudo apt-get install $package"
    fi
    echo "> venv: installing $package"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
}

python=$(find_python)

state_of() {
    echo "$1 $("$python" --version) $(cat "$1" pyproject.toml | sha256sum | cut -d' ' -f1)"
}

if grep -qxF "$(state_of "$lock")" "$stamp" 2>/dev/null; then
    exit 0
fi

if [ ! -x .venv/bin/python ] || [ "$(.venv/bin/python --version)" != "$("$python" --version)" ]; then
    ensure_venv_module "$python"
    echo "> venv: making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"
pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet)
echo "> venv: installing what $lock lists, hashes checked"
"${pip[@]}" install --require-hashes --no-deps --requirement "$lock"
echo "> venv: installing muxi-runtime from this folder"
"${pip[@]}" install --no-deps --no-build-isolation --editable .
state_of "$lock" >"$stamp"
# Each holds the versions of those before it too: going back to one of them needs nothing.
case $lock in
requirements-bench.lock)
    state_of requirements-dev.lock >>"$stamp"
    state_of requirements.lock >>"$stamp"
    ;;
requirements-dev.lock)
    state_of requirements.lock >>"$stamp"
    ;;
esac
