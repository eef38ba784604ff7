#!/usr/bin/env bash
# Makes the environments, once: .venv (morphospace) and, when params.yaml chooses that engine, .venv-cellprofiler
# (CellProfiler, which needs older libraries and a Java). The argument `training` leaves that out; `sky` makes .venv-sky
# alone (SkyPilot, which rents a machine); `all` makes all three and brings a browser, for the tests.
# What a system package must bring is installed where that may be done, and named otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# packages NAME...: install Debian packages as root, or say the line to type.
packages() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing system packages: $*"
        apt-get update -qq >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        say "missing system packages; run: sudo apt-get install -y --no-install-recommends $*"
        exit 1
    fi
}

python=${PYTHON:-python3}
command -v "$python" >/dev/null || { say "missing: Python 3.11 or 3.12 (apt-get install -y python3)"; exit 1; }
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' ||
    { say "$("$python" --version) cannot run CellProfiler 4.2.8.1; name a Python 3.11 or 3.12: make PYTHON=python3.11 …"; exit 1; }
export PIP_DISABLE_PIP_VERSION_CHECK=1

# environment FOLDER FINGERPRINT PIP-ARGUMENT...: make FOLDER unless it was made from the same FINGERPRINT.
environment() {
    local folder=$1 key=$2; shift 2
    if [ "$(cat "$folder/.made-from" 2>/dev/null)" = "$key" ]; then return; fi
    say "Making $folder (minutes, once) …"
    rm -rf "$folder"
    "$python" -m venv "$folder"
    if ! "$folder/bin/python" -m pip install -q "$@" >"$folder/install.log" 2>&1; then
        grep -v 'WARNING: Location' "$folder/install.log" | tail -n 20 >&2
        say "could not make $folder; the whole log is $folder/install.log"
        exit 1
    fi
    echo "$key" >"$folder/.made-from"
}

fingerprint() { cat "$@" | sha256sum | cut -c1-16; }

"$python" -c 'import venv, ensurepip' 2>/dev/null || packages python3-venv
sky() { environment .venv-sky "$(fingerprint environments/sky.txt)" -r environments/sky.txt; }
if [ "${1:-}" = sky ]; then sky; exit 0; fi
environment .venv "$(fingerprint pyproject.toml environments/constraints.txt)" \
    -c environments/constraints.txt -e '.[dev]'

[ "${1:-}" != training ] || exit 0
if [ "${1:-}" = all ]; then
    sky
    command -v chromium >/dev/null || packages chromium  # the page is tested in a real browser
fi
[ "${1:-}" = all ] || grep -qE '^ +engine: +cellprofiler' params.yaml || exit 0
key=$(fingerprint environments/cellprofiler.txt)
if [ "$(cat .venv-cellprofiler/.made-from 2>/dev/null)" != "$key" ]; then
    # CellProfiler talks to Java through python-javabridge, which is compiled here.
    needed=()
    command -v javac >/dev/null || needed+=(openjdk-17-jdk-headless)
    command -v gcc >/dev/null || needed+=(gcc libc6-dev)
    header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
    [ -f "$header" ] || needed+=(python3-dev)
    [ ${#needed[@]} = 0 ] || packages "${needed[@]}"
    if [ -z "${JAVA_HOME:-}" ]; then
        JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
        export JAVA_HOME
    fi
    environment .venv-cellprofiler "$key" --no-deps -r environments/cellprofiler.txt
fi
# An argument that scikit-image renamed in 0.19, and CellProfiler's MeasureGranularity and others call by its old name.
sed -i 's/\bselem=/footprint=/' .venv-cellprofiler/lib/python3*/site-packages/cellprofiler/modules/*.py
