#!/usr/bin/env bash
# Removes the environments and work in progress, and nothing that morphospace did not make: the scratch folder may have
# other things in it, MORPHOSPACE_SCRATCH may even be the home folder. What morphospace makes there carries a tag (CACHEDIR.TAG).
set -euo pipefail
cd "$(dirname "$0")/.."

rm -rf .venv .venv-cellprofiler .venv-sky .pytest_cache .mypy_cache .ruff_cache
scratch=${MORPHOSPACE_SCRATCH:-${XDG_CACHE_HOME:-$HOME/.cache}/morphospace}
for tag in "$scratch"/*/CACHEDIR.TAG; do
    if grep -qs 'made by morphospace' "$tag"; then rm -rf "${tag%/CACHEDIR.TAG}"; fi
done
rmdir "$scratch" 2>/dev/null || true
