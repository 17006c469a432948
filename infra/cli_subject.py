# SPDX-License-Identifier: Apache-2.0
"""``motcua subject``: personal data of one dossier, shown on record, exported, erased."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

import typer

from services.common.audit.subjects import (
    ERASED,
    Erase,
    erase,
    erased_keys,
    read,
)
from services.common.canonical import Json
from services.common.clock import SystemClock
from services.common.config import Settings
from services.common.errors import Refused
from services.common.eventlog.keys import PostgresKeys
from services.common.eventlog.port import EventLog
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Recorder
from services.intake.application.codes import dossier_with_code
from services.intake.application.facts import dossier_of
from services.intake.domain.transitions import CLOSED

subject = typer.Typer(no_args_is_help=True, help="Personal data: shown on record, erased.")

Dossier = Annotated[str, typer.Argument(help="Dossier id or code.")]
By = Annotated[str, typer.Option(help="Official who does it; stands in the log.")]
Purpose = Annotated[str, typer.Option(help="What the data are kept for.")]
ERASED_WORDS = "[đã xóa]"


@subject.command("show")
def show(dossier: Dossier, by: By, purpose: Purpose = "contact") -> None:
    """Print a dossier's personal data (as audit); every value read is an event of the log."""
    with opened() as (recorder, _):
        for value in _read(recorder, _id(recorder.log, dossier), purpose, by):
            typer.echo("\t".join((value["recorded_at"], value["event"], value["value"])))


@subject.command("export")
def export(dossier: Dossier, by: By, purpose: Purpose = "contact") -> None:
    """Print everything about a dossier as JSON: its events and its personal data (as audit)."""
    with opened() as (recorder, _):
        identifier = _id(recorder.log, dossier)
        values = _read(recorder, identifier, purpose, by)
        events = [
            {
                "position": event.position, "type": event.type, "schema": event.schema,
                "occurred_at": event.occurred_at.isoformat(),
                "recorded_at": event.recorded_at.isoformat(), "data": event.data,
            }
            for event in recorder.log.read_subject(identifier)
        ]  # fmt: skip
        said = {"dossier": identifier, "personal": values, "events": events}
        typer.echo(json.dumps(said, ensure_ascii=False, indent=1))


@subject.command("erase")
def erase_command(
    dossier: Dossier,
    by: By,
    reference: Annotated[str, typer.Option(help="Number of the paper that orders it.")],
    *,
    basis: Annotated[str, typer.Option(help="request or retention.")] = "request",
    purpose: Annotated[list[str] | None, typer.Option(help="Only what is kept for it.")] = None,
    open_too: Annotated[bool, typer.Option("--open-too", help="Also while it is open.")] = False,
) -> None:
    """Erase a dossier's personal data for good (as eraser); may be repeated."""
    with opened() as (recorder, keys):
        identifier = _id(recorder.log, dossier)
        if not open_too and dossier_of(recorder.log, identifier).status not in CLOSED:
            raise Refused(
                "dossier_open",
                "the dossier is open, its citizen could not be told any more; --open-too does it",
                "hồ sơ chưa xong, xóa rồi thì không liên hệ được với công dân; dùng --open-too",
                field="dossier",
            )
        order = Erase(
            dossier=identifier, purposes=tuple(purpose or ()), basis=basis, reference=reference,
            official=by,
        )  # fmt: skip
        done = erase(recorder, keys, order)
    typer.echo(
        f"{identifier}: {done.values} values; destroyed now: {done.keys} keys,"
        f" {done.ciphertexts} ciphertexts"
    )


@subject.command("erase-again")
def erase_again() -> None:
    """Destroy again whatever the log says was erased, after a restore from before (as eraser)."""
    keys_gone = ciphertexts = after = 0
    with opened() as (recorder, keys):
        while page := recorder.log.read_all(after, types=[ERASED]):
            for event in page:
                keys_gone += keys.destroy(sorted(erased_keys([event]), key=str))
                ciphertexts += recorder.log.forget(event.position)
            after = page[-1].position
    typer.echo(f"destroyed again: {keys_gone} keys, {ciphertexts} ciphertexts")


def _read(recorder: Recorder, identifier: str, purpose: str, by: str) -> list[dict[str, str]]:
    found = read(recorder, identifier, purpose=purpose, reader=by)
    return [
        {
            "event": str(one.event.event_id), "type": one.event.type, "field": one.field,
            "recorded_at": one.event.recorded_at.isoformat(), "value": _words(value),
        }
        for one, value in found
    ]  # fmt: skip


def _words(value: Json) -> str:
    return ERASED_WORDS if value is None else json.dumps(value, ensure_ascii=False)


def _id(log: EventLog, words: str) -> str:
    try:
        return str(UUID(words))
    except ValueError:
        return dossier_with_code(log, words)


@contextmanager
def opened() -> Iterator[tuple[Recorder, PostgresKeys]]:
    """Open log and keys with the logins of the environment."""
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    keys_url = settings.url("MOTCUA_KEYS_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    service_key, kek = settings.key("MOTCUA_SERVICE_KEY"), settings.key("MOTCUA_KEK")
    settings.finish()
    log, keys = PostgresLog(url, log_id), PostgresKeys(keys_url, kek)
    try:
        yield Recorder(log, keys, SystemClock(), service_key), keys
    finally:
        log.close()
        keys.close()
