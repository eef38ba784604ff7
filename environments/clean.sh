#!/usr/bin/env bash
# Removes the environments and work in progress, and nothing that morphospace did not make: MORPHOSPACE_SCRATCH may be a
# folder with other things in it, even the home folder. What morphospace makes there carries a tag (CACHEDIR.TAG).
set -euo pipefail
cd "$(dirname "$0")/.."

rm -rf .venv .venv-cellprofiler .venv-sky .pytest_cache .mypy_cache .ruff_cache
if [ -z "${MORPHOSPACE_SCRATCH:-}" ]; then
    rm -rf "${XDG_CACHE_HOME:-$HOME/.cache}/morphospace"
    exit 0
fi
for tag in "$MORPHOSPACE_SCRATCH"/*/CACHEDIR.TAG; do
    if grep -qs 'made by morphospace' "$tag"; then rm -rf "${tag%/CACHEDIR.TAG}"; fi
done
rmdir "$MORPHOSPACE_SCRATCH" 2>/dev/null || true
