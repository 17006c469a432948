# SPDX-License-Identifier: Apache-2.0
"""``motcua archive``: whole partitions of the log as files that are proven and stay so."""

import os
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from infra.cli_verify import Key
from services.common.audit.archive import Archive, TamperedError, WrongFileError
from services.common.clock import SystemClock, to_micros
from services.common.config import Settings
from services.common.errors import Refused, Unavailable
from services.common.integrity.bundle import on_terminal, read_keys
from services.common.integrity.notes import NoteError


def archive_command(
    folder: Annotated[Path, typer.Argument(help="The archive's folder.")],
    key: Key,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the files with what is recorded.")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Hash every event in them too.")] = False,
    unwitnessed: Annotated[
        bool, typer.Option("--unwitnessed", help="Also what no witness cosigned.")
    ] = False,
) -> None:
    """Write each whole, sealed, cosigned partition to a file, check it, record it (as sealer).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID. May be broken off and begun anew. Exit code 1: a
    file is missing or is not what was sealed, and which positions it is about.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    try:
        keys = read_keys(key)
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            archive = Archive(connection, url, log_id, folder)
            if check or deep:
                _check(archive.check(keys, deep=deep), len(archive.ranges()))
                return
            folder.mkdir(parents=True, exist_ok=True)
            for done in archive.extend(
                keys, now_us=to_micros(SystemClock().now()), witnessed=not unwitnessed,
                progress=on_terminal(),
            ):  # fmt: skip
                typer.echo(f"{done}: archived")
            typer.echo(f"{len(archive.ranges())} ranges in the archive")
    except WrongFileError as error:
        typer.echo(str(error))
        raise typer.Exit(1) from error
    except psycopg.Error as error:
        raise Unavailable("postgresql", str(error)) from error
    except (NoteError, TamperedError, OSError, UnicodeError) as error:
        raise Refused("cannot_archive", str(error), "không lưu trữ được") from error


def _check(found: list[str], ranges: int) -> None:
    for line in found:
        typer.echo(line)
    typer.echo(f"{ranges} ranges, {len(found)} wrong")
    raise typer.Exit(1 if found else 0)
