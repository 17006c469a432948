# SPDX-License-Identifier: Apache-2.0
"""``motcua epoch``: is the log whole; closed, resumed, or gone on with in a new epoch."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from infra.cli_verify import Asked, Key, Known
from services.common.audit.cosigning import read_witnesses
from services.common.audit.epochs import Decision, close_log, open_epoch, resume
from services.common.audit.outside import Lost, known_to, lost, seen_by
from services.common.audit.seals import Seals, TamperedError, in_force, origin_of
from services.common.clock import SystemClock, to_micros
from services.common.config import Settings
from services.common.errors import Refused, Unavailable
from services.common.integrity.bundle import read_keys
from services.common.integrity.checker import opening
from services.common.integrity.notes import Checkpoint, NoteError, Signer, open_checkpoint

epoch = typer.Typer(no_args_is_help=True, help="Is the log whole? What if its end is lost?")

By = Annotated[str, typer.Option(help="Who decides; stands in a signed note for ever.")]
Reason = Annotated[str, typer.Option(help="Why; stands there too, so nothing personal.")]


@epoch.command("show")
def show(key: Key, *, known: Known = None, witness: Asked = None) -> None:
    """Say in which epoch the log is and whether it is what was seen of it (as audit).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID. Exit code 1: closed, or its end is lost.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    with _connected(url) as connection:
        keys = read_keys(key)
        seen = [open_checkpoint(_text(path), keys)[0] for path in known or ()]
        origins = sorted({one.name for one in keys})
        for place in read_witnesses("\n".join(witness or ())):
            seen += [checkpoint for checkpoint, _ in seen_by(place, origins, keys)]
        missing = lost(connection, log_id, seen)
        closed = _print(connection, log_id)
    for one in missing:
        typer.echo(str(one))
    raise typer.Exit(1 if missing or closed else 0)


@epoch.command("close")
def close_command(reason: Reason) -> None:
    """Append and seal nothing more until somebody has decided (as sealer)."""
    with _sealer() as (connection, seals):
        done = close_log(connection, seals.log_id, reason)
    typer.echo("closed" if done else "it is closed already")


@epoch.command("resume")
def resume_command(*, known: Known = None, witness: Asked = None) -> None:
    """Go on in the same epoch, if the log has everything that is known of it (as sealer)."""
    with _sealer() as (connection, seals):
        resume(connection, seals.log_id, _missing(connection, seals, known, witness))
    typer.echo("nothing is lost; the log goes on")


@epoch.command("open")
def open_command(by: By, reason: Reason, *, known: Known = None, witness: Asked = None) -> None:
    """Begin a new epoch where the closed log stands (as sealer); its note says what is lost."""
    with _sealer() as (connection, seals):
        missing = _missing(connection, seals, known, witness)
        opened = open_epoch(
            connection, seals, Decision(by=by, reason=reason), missing,
            now_us=to_micros(SystemClock().now()), pause=time.sleep,
        )  # fmt: skip
    typer.echo(str(opened))
    typer.echo(f"give witnesses and auditors its key: {seals.signer.named(opened.origin).verifier}")


def _missing(
    connection: psycopg.Connection[Any], seals: Seals, known: Sequence[Path] | None,
    witness: Sequence[str] | None,
) -> list[Lost]:  # fmt: skip
    """Return what the log lacks of what is known outside, which nobody may decide without."""
    current = in_force(connection, seals)
    seen = [open_checkpoint(_text(path), current.keys)[0] for path in known or ()]
    for place in read_witnesses("\n".join(witness or ())):
        seen += known_to(place, current)
    if not seen:
        raise Refused(
            "nothing_known", "give a checkpoint that was kept elsewhere, or a witness",
            "cần điểm niêm phong được giữ bên ngoài", field="known",
        )  # fmt: skip
    return lost(connection, seals.log_id, seen)


def _print(connection: psycopg.Connection[Any], log_id: int) -> bool:
    """Say how the log stands; returns whether it is closed."""
    row = connection.execute(
        "SELECT pos, closed FROM eventlog.log_head WHERE log_id = %s", (log_id,)
    ).fetchone()
    if row is None:
        raise Refused("no_such_log", f"there is no log {log_id}", f"không có nhật ký {log_id}")
    notes = connection.execute(
        "SELECT note FROM eventlog.epoch WHERE log_id = %s ORDER BY epoch", (log_id,)
    ).fetchall()
    origin = origin_of(log_id, 1)
    for (note,) in notes:
        said = opening(Checkpoint.parse(str(note).partition("\n\n")[0] + "\n"))
        if said is not None:
            typer.echo(f"epoch {said}")
            origin = said.origin
    typer.echo(f"{origin}: {row[0]} events, {'open' if row[1] is None else f'CLOSED: {row[1]}'}")
    return row[1] is not None


@contextmanager
def _sealer() -> Iterator[tuple[psycopg.Connection[Any], Seals]]:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    seed = settings.key("MOTCUA_SEAL_KEY")
    settings.finish()
    origin = origin_of(log_id, 1)
    with _connected(url) as connection:
        yield connection, Seals(log_id=log_id, origin=origin, signer=Signer(origin, seed))


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(
            url, autocommit=True, connect_timeout=5, options="-c application_name=epoch"
        ) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused("not_sealer", "this login may not", "tài khoản này không có quyền") from error
    except psycopg.Error as error:
        raise Unavailable("postgresql", str(error)) from error
    except TamperedError as error:
        raise Refused("log_changed", str(error), "nhật ký không còn như đã ghi") from error
    except (NoteError, OSError, UnicodeError) as error:
        raise Refused("cannot_compare", str(error), "không so sánh được") from error


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
