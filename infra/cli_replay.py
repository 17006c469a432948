# SPDX-License-Identifier: Apache-2.0
"""``motcua replay``: what the read models would be, from the log alone."""

import os
from pathlib import Path
from typing import Annotated

import typer

from infra.cli_query import Archived, AsForm, Form, say_rows
from infra.cli_upkeep import projections
from infra.replaying.running import Replayed, Work, compare, replay
from infra.replaying.sources import From, source_of
from infra.replaying.vectors import VectorProjection
from services.auditing.application.moments import read_moment
from services.common.config import Settings
from services.common.errors import Refused
from services.common.integrity.bundle import on_terminal
from services.common.messaging.building import workers_here
from services.common.messaging.projector import Projection

_COLUMNS = ("projection", "fold", "position", "rows", "seconds", "events/s", "digest", "live")


def replay_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="PROJECTION…", help="All when left out.")
    ] = None,
    *,
    how: Annotated[From, typer.Option("--from", help="How the log is read.")] = From.COPY,
    path: Annotated[Path | None, typer.Option(help="Bundle, or folder of Parquet files.")] = None,
    to: Annotated[str, typer.Option(help="Position or time; the end when left out.")] = "",
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0: one a processor.")] = 0,
    by_sql: Annotated[
        bool, typer.Option("--sql", help="Fold Parquet columns by SQL, where the fold permits it.")
    ] = False,
    with_live: Annotated[
        bool, typer.Option("--compare", help="Compare with the live tables at their checkpoint.")
    ] = False,
    archive: Archived = None,
    form: AsForm = Form.TABLE,
) -> None:
    """Fold read models from the log, touching nothing, and print the digest of their rows.

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID; from a bundle or Parquet without --compare,
    neither. Exit code 1: a live read model is different, and which row is the first.
    """
    if with_live and to:
        raise Refused(
            "compare_is_now", "live tables are compared at their own checkpoint, without --to",
            "chỉ so sánh tại vị trí của bảng đang phục vụ, không dùng --to", field="to",
        )  # fmt: skip
    chosen = _chosen(names or [])
    url, log_id = "", 0
    if with_live or how in {From.COPY, From.PAGED}:
        settings = Settings(os.environ)
        url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
        log_id = settings.whole("MOTCUA_LOG_ID", low=1)
        settings.finish()
    source = source_of(how, url, log_id, path, archive=archive)
    moment, done = read_moment(to, field="to"), list[Replayed]()
    for one in chosen:
        sql = by_sql and (bool(names) or isinstance(one, VectorProjection))
        work = Work(jobs=jobs or workers_here(), by_sql=sql, progress=on_terminal())
        done.append(
            compare(one, source, url, work) if with_live else replay(one, source, moment, work)
        )
    if form is Form.TABLE:
        for said in done:
            _tell(said)
    else:
        say_rows(_COLUMNS, [_row(one) for one in done], form)
    raise typer.Exit(int(any(one.difference is not None for one in done)))


def _chosen(names: list[str]) -> list[Projection]:
    known = projections()
    for name in names:
        if name not in known:
            raise Refused(
                "no_such_projection", f"there is no {name}; there are {', '.join(sorted(known))}",
                f"không có {name}", field="projection",
            )  # fmt: skip
    return [known[name] for name in names or sorted(known)]


def _tell(said: Replayed) -> None:
    """Say it for eyes; a digest has no place in a narrow table."""
    name, fold, position, rows, seconds, rate, digest, live = _row(said)
    typer.echo(
        f"{name:18} {rows:,} rows at position {position:,} after {seconds} s"
        f" ({rate:,} events/s, by {fold})\n  {digest}"
        + (f"  live: {live}" if said.compared else "")
    )
    if said.difference is not None:
        typer.echo(f"  they part in {said.difference.table}, first at")
        typer.echo(f"    replayed  {said.difference.replayed or '(no more rows)'}")
        typer.echo(f"    live      {said.difference.live or '(no more rows)'}")


def _row(one: Replayed) -> tuple[str, str, int, int, float, int, str, str]:
    live = "not asked" if not one.compared else "equal" if one.difference is None else "DIFFERENT"
    rate = round(one.position / one.seconds) if one.seconds else 0
    fold = "sql" if one.by_sql else "rows"
    return (
        one.projection, fold, one.position, one.rows, round(one.seconds, 2), rate, one.digest, live,
    )  # fmt: skip
