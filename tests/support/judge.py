# SPDX-License-Identifier: Apache-2.0
"""An independent judge of AsyncAPI documents: the parser of the AsyncAPI initiative, under node.

Its packages are installed once into ``build/asyncapi``, exactly as the lock file says.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "asyncapi"
FOLDER = Path("build/asyncapi").resolve()
BIN = Path(sys.executable).parent
INSTALL_TIMEOUT_S = 150


def judge(documents: list[Path]) -> list[dict[str, Any]]:
    """Return what the parser says about each document: ``understood`` and ``complaints``."""
    _install()
    command = [BIN / "node", HERE / "judge.mjs", *documents]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60, cwd=FOLDER
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _install() -> None:
    lock = HERE / "package-lock.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    ready = FOLDER / "ready"
    with (FOLDER / "busy").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        if ready.is_file() and ready.read_bytes() == lock.read_bytes():
            return
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, FOLDER / name)
        words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        environ = {**os.environ, "PATH": f"{BIN}:{os.environ.get('PATH', '')}"}
        done = subprocess.run(
            [BIN / "npm", *words], check=False, capture_output=True, text=True, env=environ,
            timeout=INSTALL_TIMEOUT_S, cwd=FOLDER,
        )  # fmt: skip
        assert done.returncode == 0, f"npm could not install the AsyncAPI parser:\n{done.stderr}"
        ready.write_bytes(lock.read_bytes())
