# SPDX-License-Identifier: Apache-2.0
"""``motcua generate``: a log of any size, for benchmarks, tests and sizing; never for real."""

import gc
import os
import time
from typing import Annotated

import typer

from infra.generating.loading import generate
from services.common.config import Settings
from services.common.integrity.bundle import on_terminal


def generate_command(
    *,
    events: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many events.")],
    seed: Annotated[int, typer.Option(help="The same log for the same seed.")] = 1,
) -> None:
    """Write whole stories of dossiers into the EMPTY log of a SCRATCH database.

    Reads MOTCUA_ADMIN_URL and MOTCUA_LOG_ID. The database has to be marked by its owner:
    COMMENT ON DATABASE … IS 'scratch'. All or nothing; seal it before you verify it.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_ADMIN_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    gc.disable()  # stories hold no cycles, and there are many
    began_s = time.monotonic()
    made = generate(url, log_id, events=events, seed=seed, progress=on_terminal())
    took_s = time.monotonic() - began_s
    typer.echo(
        f"{made.events:,} events in {made.streams:,} streams after {took_s:.1f} s"
        f" ({made.events / took_s:,.0f} events/s), root {made.root.hex()}"
    )
