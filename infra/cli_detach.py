# SPDX-License-Identifier: Apache-2.0
"""``motcua detach|attach``: what is over leaves the database for the archive, and comes back."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import psycopg
import typer

from infra.detaching import DAYS, Detaching
from services.common.audit.archive import WrongFileError
from services.common.clock import SystemClock
from services.common.config import Settings
from services.common.errors import Refused, Unavailable
from services.common.eventlog.postgres import PostgresLog

Folder = Annotated[Path, typer.Argument(help="The archive's folder.")]


def detach_command(
    folder: Folder,
    *,
    days: Annotated[int, typer.Option(min=1, help="Only what is over for so many days.")] = DAYS,
) -> None:
    """Take closed dossiers out of the database, whole, once the archive has them (as sealer).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID. Only dossiers that nobody owes anything, with all
    personal data erased. May be broken off and begun anew.
    """
    with _opened(folder) as detaching:
        for _ in detaching.run(SystemClock().now(), days=days):
            pass
        typer.echo(f"{detaching.dossiers:,} dossiers left with {detaching.events:,} events")
        for reason, count in sorted(detaching.kept.items()):
            typer.echo(f"{count:,} stay: {reason}")


def attach_command(
    folder: Folder, dossier: Annotated[UUID, typer.Argument(help="The dossier's id.")]
) -> None:
    """Put a dossier's events back into the database from the archive (as sealer).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID. It leaves again with the next run of detach.
    """
    with _opened(folder) as detaching:
        count = detaching.attach(str(dossier))
    typer.echo(f"{dossier}: {count} events are back" if count else f"{dossier}: it has not left")


@contextmanager
def _opened(folder: Path) -> Iterator[Detaching]:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    try:
        with (
            psycopg.connect(url, autocommit=True, connect_timeout=5) as connection,
            closing(PostgresLog(url, log_id)) as log,
        ):
            yield Detaching(connection, log, folder)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(
            "not_sealer", "only the sealer's login may do this", "tài khoản này không có quyền"
        ) from error
    except WrongFileError as error:
        raise Refused("not_what_left", str(error), "không phải sự kiện đã chuyển đi") from error
    except psycopg.Error as error:
        raise Unavailable("postgresql", str(error)) from error
