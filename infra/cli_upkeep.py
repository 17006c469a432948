# SPDX-License-Identifier: Apache-2.0
"""``motcua rebuild``: what keeps an installation fit for years."""

import os
import pkgutil
import time
from importlib import import_module
from typing import Annotated, cast

import typer

import services
from infra.cli_query import Archived
from services.common.config import Settings
from services.common.errors import Refused
from services.common.integrity.bundle import on_terminal
from services.common.messaging.projector import Projection
from services.common.messaging.rebuild import Rebuild


def projections() -> dict[str, Projection]:
    """Return every read model of every service, by name."""
    found = dict[str, Projection]()
    for service in pkgutil.iter_modules(services.__path__):
        package = f"services.{service.name}.projections"
        try:
            folder = import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            continue
        for module in pkgutil.iter_modules(folder.__path__):
            made = import_module(f"{package}.{module.name}")
            for one in vars(made).values():
                ours = isinstance(one, type) and one.__module__ == made.__name__
                if ours and hasattr(one, "ddl"):
                    projection = cast("Projection", one())
                    found[projection.name] = projection
    return found


def rebuild(
    projection: Annotated[str, typer.Argument(help="Read model, for example intake.dossiers.")],
    *,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a processor.")] = 0,
    archive: Archived = None,
) -> None:
    """Build a read model anew while the old one serves (as the service that owns it).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID.
    """
    known = projections()
    if projection not in known:
        names = ", ".join(sorted(known))
        raise Refused(
            "no_such_projection", f"there is no {projection}; there are {names}",
            f"không có {projection}; có {names}", field="projection",
        )  # fmt: skip
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    began_s = time.monotonic()
    done = Rebuild(
        known[projection], url, log_id, workers=workers, archive=archive, progress=on_terminal()
    ).run()
    typer.echo(
        f"{projection}: serves as of position {done.position} after"
        f" {time.monotonic() - began_s:.1f} s ({done.rows} rows copied)"
    )
