# SPDX-License-Identifier: Apache-2.0
"""The demonstration is a test: the whole path, on servers of its own, and its own verdict."""

import os
import subprocess
import sys
from pathlib import Path


def test_demo_agrees_and_leaves_nothing() -> None:
    """Twenty dossiers go the whole way, every book agrees, and no process or folder is left."""
    environ = {name: value for name, value in os.environ.items() if "MOTCUA" not in name}
    before = set(Path(".local").glob("motcua-stack-*"))
    done = subprocess.run(
        [sys.executable, "-m", "infra.demo"],
        check=False, capture_output=True, text=True, timeout=170, env=environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "every line agrees" in done.stdout
    assert "DIFFERS" not in done.stdout
    assert set(Path(".local").glob("motcua-stack-*")) == before
    for name in ("services.intake", "services.kiosk_sync.edge", "services.common.relay"):
        found = subprocess.run(["pgrep", "-f", name], check=False, capture_output=True)
        assert found.returncode == 1, f"{name} is still running"
