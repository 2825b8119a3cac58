#!/bin/bash
# Run the runtime in a container of its own: scripts/compose.sh up | down. Called by `make compose-up` after `.venv` is made.
set -euo pipefail
cd "$(dirname "$0")/.."
python_version=3.13 # of Debian trixie, which the image is made from
staging=build/compose
ready_seconds=120
run_folder=/run/muxi-runtime

find_compose() {
    if docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
    elif command -v docker-compose >/dev/null; then
        compose=(docker-compose)
    elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "> compose: installing docker-compose"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker-compose >/dev/null
        compose=(docker-compose)
    else
        echo "error: neither \`docker compose\` nor docker-compose is installed." >&2
        echo "   do: sudo apt-get install docker-compose" >&2
        exit 1
    fi
}

# Install for the container's Python, not this one's: only wheels, each checked against the lock.
install_dependencies() {
    local platforms=() machine wanted stamp=$staging/dependencies.stamp
    machine=$(uname -m)
    wanted="$python_version $machine $(sha256sum <requirements.lock)"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "> compose: installing the dependencies for the container, hashes checked"
    for minor in $(seq 41 -1 5); do # the versions of glibc that trixie's can stand in for
        platforms+=(--platform "manylinux_2_${minor}_$machine")
    done
    rm -rf "$staging/dependencies"
    .venv/bin/python -m pip --disable-pip-version-check --quiet install --target "$staging/dependencies" --no-compile \
        --require-hashes --no-deps --only-binary :all: --requirement requirements.lock \
        --implementation cp --python-version "$python_version" --abi "cp${python_version/./}" --abi abi3 --abi none \
        "${platforms[@]}" --platform "manylinux2014_$machine" --platform "linux_$machine"
    echo "$wanted" >"$stamp"
}

# What the runtime mounts in its container has to reach the sandboxes: that takes a shared mount on this machine.
share_run_folder() {
    if [ "$(id -u)" != 0 ]; then
        echo "> compose: not root, so $run_folder is not shared: sandboxes are not made ahead (see docs/compose.md)"
        return
    fi
    mkdir -p "$run_folder"
    if ! findmnt --noheadings "$run_folder" >/dev/null; then
        mount -t tmpfs -o size=64m,mode=0711,nosuid,nodev,noexec tmpfs "$run_folder"
    fi
    mount --make-shared "$run_folder"
}

install_application() {
    rm -rf "$staging/application" "$staging/wheel"
    .venv/bin/python -m pip --disable-pip-version-check --quiet wheel --no-deps --no-build-isolation \
        --wheel-dir "$staging/wheel" .
    .venv/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-index --no-compile \
        --target "$staging/application" "$staging"/wheel/*.whl
}

wait_until_ready() {
    local deadline=$((SECONDS + ready_seconds))
    until "${compose[@]}" exec -T runtime muxi-runtime status 2>/dev/null; do
        if [ "$SECONDS" -gt "$deadline" ] || "${compose[@]}" logs --tail 5 runtime 2>&1 | grep -q 'error: '; then
            "${compose[@]}" logs --tail 40 runtime >&2
            "${compose[@]}" stop runtime
            echo "error: the runtime in its container does not come up; its log is above." >&2
            echo "   do: mend what the log says, then make compose-up" >&2
            exit 1
        fi
        sleep 1
    done
}

case ${1:-} in
up)
    find_compose
    .venv/bin/muxi-runtime images build --install-engine
    MUXI_BASE=$(.venv/bin/muxi-runtime images list --json |
        .venv/bin/python -c 'import json, sys; print(next(i["reference"] for i in json.load(sys.stdin) if i["name"] == "base"))')
    export MUXI_BASE
    share_run_folder
    mkdir -p "$staging"
    install_dependencies
    install_application
    "${compose[@]}" up --detach --build
    wait_until_ready
    echo "Stop it with: make compose-down (its state stays in a volume)"
    ;;
down)
    find_compose
    "${compose[@]}" down
    ;;
*)
    echo "usage: scripts/compose.sh up | down" >&2
    exit 2
    ;;
esac
