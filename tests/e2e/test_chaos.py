# SPDX-License-Identifier: Apache-2.0
"""All ways to subscribers are harmed, and each event comes once: `make chaos` as a test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [21, 22])
def test_subscribers_get_everything_once(seed: int) -> None:
    """At least 60 faults, at most 8 broker restarts; nothing lost, doubled or personal."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.chaos"],
        check=False, capture_output=True, text=True, timeout=1140,
        env={**os.environ, "SEED": str(seed)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads(Path("build/chaos.json").read_text(encoding="utf-8"))
    assert report["faults"] >= 60
    assert report["broker_restarts"] <= 8
    assert (report["lost"], report["doubled"], report["wrong"]) == (0, 0, [])
    assert set(report["subscribers"]) == {"ioc", "portal", "province", "away"}
    assert all(one["owed"] for one in report["subscribers"].values())
    assert len(report["certificates"]["away"]) == 3
    assert report["personal"]["found"] == []
