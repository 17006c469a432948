#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make .venv with exactly the locked versions. Says what is missing instead of guessing.
set -euo pipefail

python="${PYTHON3:-python3}"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
if [ "$version" != "3.11" ]; then
    echo "Python 3.11 is needed, found '${version:-none}' (Nameko 2.14 does not start on 3.12)." >&2
    echo "On Debian 12: sudo apt-get install -y python3 python3-venv" >&2
    exit 2
fi

# `setup.sh servers`, `setup.sh browser`: say what is missing before minutes of set-up.
case "${1:-}" in
    servers | browser) exec "$python" -m "infra.local.$1" ;;
esac

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ]; then apt=(apt-get); else apt=(sudo -n apt-get); fi
    apt+=(-o DPkg::Lock::Timeout=120)
    echo "installing python3-venv …" >&2
    if ! { "${apt[@]}" update -q; "${apt[@]}" install -y -q --no-install-recommends python3-venv; } >/dev/null 2>&1; then
        echo "Python cannot make virtual environments: sudo apt-get install -y python3-venv" >&2
        exit 2
    fi
fi

echo "installing the locked packages into .venv …" >&2
pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check install)
# One that was interrupted halfway has a Python, but no pip.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear .venv
fi
# The lock names every package there is, so nothing is left to resolve. Resolving anew would also fail:
# pip before 23.3 asks for the newest release of a package named with an extra (coverage[toml]), which no
# hash covers.
"${pip[@]}" --no-deps --require-hashes -r requirements.lock
PYTHONWARNINGS=ignore "${pip[@]}" --no-deps --no-build-isolation -e .
.venv/bin/python -m pip --disable-pip-version-check check >/dev/null
