# SPDX-License-Identifier: Apache-2.0
"""The demonstration is a test: the whole path, on servers of its own, and its own verdict."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest


@pytest.mark.timeout(540)
def test_demo_agrees_and_leaves_nothing() -> None:
    """A day ends as its stories tell, every book agrees, and no process or folder is left."""
    mark = f"DEMO_MARK={uuid.uuid4()}"
    environ = {name: value for name, value in os.environ.items() if "MOTCUA" not in name}
    environ |= dict([mark.split("=")])
    before = set(Path(".local").glob("motcua-[ds]*"))
    done = subprocess.run(
        [sys.executable, "-m", "infra.demo"],
        check=False, capture_output=True, text=True, timeout=500, env=environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "every line agrees" in done.stdout
    assert "DIFFERS" not in done.stdout
    assert set(Path(".local").glob("motcua-[ds]*")) == before
    assert _processes_with(mark) == []


def _processes_with(mark: str) -> list[str]:
    """Return the command lines of processes that inherited ``mark`` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # gone meanwhile, or another user's
    return found
