# SPDX-License-Identifier: Apache-2.0
"""``motcua backup``, ``motcua restore-drill``: what was lost can be brought back, provably."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.backups import (
    back_up_keys,
    back_up_log,
    digest_of_dump,
    read_backup,
    restore_closed,
)
from infra.cli_query import Archived
from infra.cli_upkeep import projections
from infra.drill import Drilled, drill
from services.common.clock import SystemClock
from services.common.config import Settings
from services.common.errors import Refused
from services.common.integrity.bundle import read_keys
from services.common.integrity.notes import NoteError

backup = typer.Typer(no_args_is_help=True, help="Backups: log and keys, each apart.")
Folder = Annotated[Path, typer.Argument(help="Where dump and note go; not on this machine's disk.")]
_SHOWN = 24


@backup.command("log")
def backup_log(folder: Folder) -> None:
    """Dump the log's database and note its head, checkpoint and read models (as administrator).

    Reads MOTCUA_ADMIN_URL and MOTCUA_LOG_ID. Services go on meanwhile.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_ADMIN_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    now = SystemClock().now()
    try:
        note, noted = back_up_log(url, log_id, folder, projections().values(), now)
    except OSError as error:
        raise Refused("cannot_write", str(error), "không ghi được") from error
    typer.echo(
        f"{note}: {noted.head} events, {noted.sealed} under a checkpoint,"
        f" {len(noted.read_models)} read models, {noted.size_bytes:,} bytes"
    )


@backup.command("keys")
def backup_keys(folder: Folder) -> None:
    """Dump the key database (as administrator). Keep it apart from the log's, and not for long.

    Reads MOTCUA_KEYS_ADMIN_URL.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_KEYS_ADMIN_URL", ("postgresql", "postgres"))
    settings.finish()
    try:
        note, noted = back_up_keys(url, folder, SystemClock().now())
    except OSError as error:
        raise Refused("cannot_write", str(error), "không ghi được") from error
    typer.echo(f"{note}: {noted.keys} wrapped keys, {noted.size_bytes:,} bytes")


def restore_command(
    note: Annotated[Path, typer.Argument(help="Note (.json) of a backup of the log or the keys.")],
    database: Annotated[str, typer.Option(help="Database to be made; must not exist.")],
) -> None:
    """Restore a backup to a new database (as administrator); a log comes back closed.

    Reads MOTCUA_RESTORE_ADMIN_URL. Go on with `motcua migrate`, then `motcua epoch resume|open`.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_RESTORE_ADMIN_URL", ("postgresql", "postgres"))
    settings.finish()
    try:
        noted = read_backup(note)
        if digest_of_dump(note, noted) != noted.sha256:
            raise Refused("dump_changed", "it is not the dump of the note", "tệp đã bị thay đổi")
        restore_closed(note, noted, url, database)
    except OSError as error:
        raise Refused("cannot_restore", str(error), "không khôi phục được") from error
    typer.echo(f"{database}: restored as of {noted.taken_at}")


def restore_drill(
    note: Annotated[Path, typer.Argument(help="Note (.json) of a backup of the log.")],
    key: Annotated[
        list[str], typer.Option("--key", help="Trusted key of the sealer, or a file with it.")
    ],
    *,
    keys: Annotated[Path | None, typer.Option(help="Note of a backup of the keys.")] = None,
    archive: Archived = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
) -> None:
    """Restore a backup to a scratch server, verify, replay, compare with its note, drop it again.

    Reads MOTCUA_SCRATCH_ADMIN_URL. Exit code 0: everything came back; 1: something did not, and
    what; 2: it could not be restored.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_SCRATCH_ADMIN_URL", ("postgresql", "postgres"))
    settings.finish()
    try:
        done = drill(note, url, read_keys(key), projections(), keys_note=keys, archive=archive)
    except (OSError, NoteError, UnicodeError) as error:
        raise Refused("cannot_restore", str(error), "không khôi phục được") from error
    _say(done, as_json=as_json)
    raise typer.Exit(0 if done.good else 1)


def _say(done: Drilled, *, as_json: bool) -> None:
    if as_json:
        said = {
            "good": done.good, "took_s": {k: round(v, 3) for k, v in done.took_s.items()},
            "erase_again": done.erase_again,
            "lines": [
                {"what": one.what, "noted": one.ours, "found": one.theirs, "agrees": one.agrees}
                for one in done.lines
            ],
        }  # fmt: skip
        typer.echo(json.dumps(said, ensure_ascii=False, indent=1))
        return
    table = Table("what", "noted", "found", "")
    for one in done.lines:
        verdict = "agrees" if one.agrees else "DIFFERS"
        table.add_row(one.what, _short(one.ours), _short(one.theirs), verdict)
    Console().print(table)
    steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in done.took_s.items())
    typer.echo(f"{steps}: {sum(done.took_s.values()):.1f} s in all")
    if done.erase_again:
        typer.echo(f"{done.erase_again} keys were erased since: after a restore, erase them again")
    typer.echo("everything came back" if done.good else "NOT everything came back")


def _short(value: object) -> str:
    text = str(value).replace("\n", " ")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
