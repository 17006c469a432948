# SPDX-License-Identifier: Apache-2.0
"""A million events are exported, verified and compared within bounded memory."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from services.common.audit.bundling import PROGRAM
from tests.support.database import LOG_ID, fresh_database
from tests.support.generated import fill_generated
from tests.support.sealed_log import SIGNER, seal
from tests.support.weighing import Weighed, weigh

EVENTS = 1_000_000
PEAK_MIB_MAX = 300


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_million_events(server_url: str, tmp_path: Path) -> None:
    """Export with a Parquet copy, the bundle's own verifier, and the copy's proof: each ≤ 300 MiB."""
    folder = tmp_path / "bundle"
    motcua = [sys.executable, "-W", "ignore", "-m", "infra.motcua"]
    with fresh_database(server_url) as database:
        made = fill_generated(database, EVENTS)
        seal(database)
        environ = {
            **os.environ, "MOTCUA_DATABASE_URL": database.url_for("motcua_audit"),
            "MOTCUA_LOG_ID": str(LOG_ID),
        }  # fmt: skip
        exported = weigh([*motcua, "export", "--parquet", str(folder)], environ, timeout_s=1_200)
    key = ["--key", str(SIGNER.verifier)]
    found = {
        "export --parquet": exported,
        "verify.pyz": weigh(
            [sys.executable, str(folder / PROGRAM), str(folder), *key], environ, timeout_s=600
        ),
        "columns --check": weigh(
            [*motcua, "columns", "--check", str(folder)], environ, timeout_s=1_200
        ),
    }
    for name, one in found.items():
        print(_line(name, one, made.events))
    shutil.rmtree(folder)
    assert {name: (one.code, one.peak_mib <= PEAK_MIB_MAX) for name, one in found.items()} == dict.fromkeys(
        found, (0, True)
    )  # fmt: skip
    assert all(f"{made.events}" in one.out for one in found.values())


def _line(name: str, one: Weighed, events: int) -> str:
    return (
        f"{name}: {events:,} events, {one.took_s:.1f} s, {events / one.took_s:,.0f} events/s,"
        f" peak {one.peak_mib:.0f} MiB"
    )
