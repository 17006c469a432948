# SPDX-License-Identifier: Apache-2.0
"""``motcua query|state-at|diff|tail``: what an auditor asks the log (as audit, never personal)."""

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.auditing.application.dossiers import Dossiers, nothing_known
from services.auditing.application.moments import read_moment
from services.auditing.application.past import differences, state_of
from services.common.canonical import Json
from services.common.config import Settings
from services.common.eventlog.bulk import BulkReader, Selection
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent

_COLUMNS = (
    "position", "recorded_at", "occurred_at", "type", "stream", "version", "actor", "subject",
    "data",
)  # fmt: skip


class Form(StrEnum):
    """How it is said."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


AsForm = Annotated[Form, typer.Option("--format", help="table, json (a line each) or csv.")]
Archived = Annotated[
    Path | None,
    typer.Option(
        "--archive", envvar="MOTCUA_ARCHIVE",
        help="Folder of the archive, for what has left the database.",
    ),
]  # fmt: skip
Dossier = Annotated[str, typer.Argument(help="Dossier id or code.")]
At = Annotated[
    str, typer.Option(help="Position, or a time like 2026-11-23T16:00; the end when left out.")
]


def query(
    *,
    dossier: Annotated[str, typer.Option(help="Only this dossier: id or code.")] = "",
    stream: Annotated[str, typer.Option(help="Only this stream.")] = "",
    kind: Annotated[list[str] | None, typer.Option("--type", help="Only this type.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only above this position.")] = 0,
    at: At = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1_000,
    archive: Archived = None,
    form: AsForm = Form.TABLE,
) -> None:
    """List events: of a dossier, a stream, types, everything; to a position or a time.

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID. Personal data show as stubs. Where --limit leaves
    something out, a line beside the answer says so.
    """
    with _log() as (log, url):
        moment = read_moment(at)
        selection = Selection(
            after=after, through=moment.position, types=kind or None, stream=stream or None,
            subject=_id(log, dossier) if dossier else None,
        )  # fmt: skip
        found = BulkReader(url, log.log_id, archive=archive).read(selection)
        _say(_first(found, limit, moment.until_us), form)


def state_at(
    dossier: Dossier, *, at: At = "", archive: Archived = None, form: AsForm = Form.TABLE
) -> None:
    """Tell what a dossier was at a moment: state, money, messages, where its papers were."""
    with _log() as (log, url):
        state = _state(BulkReader(url, log.log_id, archive=archive), _id(log, dossier), at)
    say_rows(("what", "value"), sorted(state.items()), form)


def diff(
    dossier: Dossier,
    since: Annotated[str, typer.Option("--from", help="Position or time.")],
    *,
    to: Annotated[str, typer.Option(help="Position or time; the end when left out.")] = "",
    archive: Archived = None,
    form: AsForm = Form.TABLE,
) -> None:
    """Tell what became different for a dossier between two moments."""
    with _log() as (log, url):
        reader, identifier = BulkReader(url, log.log_id, archive=archive), _id(log, dossier)
        before, after = (_state(reader, identifier, at, may_be_empty=True) for at in (since, to))
    say_rows(("what", "before", "after"), differences(before, after), form)


def tail(
    *,
    after: Annotated[int, typer.Option(min=-1, help="Above this position; -1: new ones.")] = -1,
    kind: Annotated[list[str] | None, typer.Option("--type", help="Only this type.")] = None,
    for_s: Annotated[
        float, typer.Option(min=0, help="End after so long without one; 0: never.")
    ] = 0,
) -> None:
    """Follow the log: a line of JSON for each event, until Ctrl-C."""
    with _log() as (log, _):
        start = log.head() if after < 0 else after
        for event in log.subscribe(start, types=kind or None, stop_after_idle_s=for_s or None):
            typer.echo(json.dumps(_shown(event), ensure_ascii=False))


def _state(
    reader: BulkReader, dossier: str, at: str, *, may_be_empty: bool = False
) -> dict[str, Json]:
    moment = read_moment(at)
    state = state_of(filter(moment.covers, reader.read(Selection(subject=dossier))))
    if not state and not may_be_empty:
        raise nothing_known()
    return state


def _first(
    events: Iterable[RecordedEvent], limit: int, until_us: int | None
) -> Iterator[dict[str, Json]]:
    for number, event in enumerate(events):
        if until_us is not None and event.recorded_at_us > until_us:
            return
        if number == limit:
            typer.echo(f"there are more than {limit}: --limit, --after", err=True)
            return
        yield _shown(event)


def _shown(event: RecordedEvent) -> dict[str, Json]:
    return {
        "position": event.position, "recorded_at": event.recorded_at.isoformat(),
        "occurred_at": event.occurred_at.isoformat(), "type": event.type,
        "stream": event.stream, "version": event.version,
        "actor": str(event.meta.get("actor", "")), "subject": event.subject, "data": event.data,
    }  # fmt: skip


def _say(events: Iterable[dict[str, Json]], form: Form) -> None:
    if form is Form.JSON:
        for event in events:
            typer.echo(json.dumps(event, ensure_ascii=False))
        return
    rows = (
        tuple(_text(event[name], short=form is Form.TABLE) for name in _COLUMNS) for event in events
    )
    say_rows(_COLUMNS, rows, form)


def say_rows(names: Sequence[str], rows: Iterable[Sequence[object]], form: Form) -> None:
    """Print rows in the form that was asked for."""
    if form is Form.JSON:
        for row in rows:
            typer.echo(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False))
    elif form is Form.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_text(cell, short=False) for cell in row] for row in rows)
    else:
        table = Table(*names)
        for row in rows:
            table.add_row(*(Text(_visible(_text(cell, short=True))) for cell in row))
        Console().print(table if table.row_count else "nothing found · không có gì")


def _text(value: object, *, short: bool) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:79]}…" if short and len(text) > 80 else text  # noqa: PLR2004 - a line


def _visible(text: str) -> str:
    """Return ``text`` as one reads it: nothing in it moves the cursor or turns letters round."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _id(log: PostgresLog, words: str) -> str:
    return Dossiers(log).named(words)


@contextmanager
def _log() -> Iterator[tuple[PostgresLog, str]]:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    log = PostgresLog(url, log_id)
    try:
        yield log, url
    except KeyboardInterrupt:
        typer.echo("", err=True)
    finally:
        log.close()
