# SPDX-License-Identifier: Apache-2.0
"""Everything is killed under load, and nothing is lost: `make crash` as a test, for two seeds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [11, 12])
def test_nothing_is_lost_when_everything_is_killed(seed: int) -> None:
    """At least 20 kills -9, 3 of the broker, 3 immediate stops of PostgreSQL; a judge apart."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.crash"],
        check=False, capture_output=True, text=True, timeout=840,
        env={**os.environ, "SEED": str(seed)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads(Path("build/crash.json").read_text(encoding="utf-8"))
    assert report["kills_under_load"] >= 20
    assert report["kinds_under_load"]["kill -9 rabbitmq"] >= 3
    assert report["kinds_under_load"]["postgresql immediate"] >= 3
    assert report["missing"] == []
    assert report["verdict"]["wrong"] == {}
    assert report["verdict"]["acknowledgements"] >= 100
