# SPDX-License-Identifier: Apache-2.0
"""``motcua queues``: how the queues stand, and what becomes of dead letters (docs/delivery.md)."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, LiteralString

import psycopg
import typer

from services.common.canonical import Json
from services.common.config import Settings
from services.common.errors import Refused, Unavailable
from services.common.messaging import topology
from services.common.messaging.dead_letters import LOOKED_AT_MAX, DeadLetters, Letter

queues = typer.Typer(no_args_is_help=True, help="Queues and their dead letters.")
MEANINGS: Final = {
    "dropped": "given up: its reactor will not handle it, the sweeper does not bring it back",
    "handled": "its effect was in the log already; only the copy is gone",
    "no_event": "no event of this log; there is nothing that could come back",
}

Name = Annotated[str, typer.Argument(help="Queue, for example payment.reactions.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Limit = Annotated[int, typer.Option(min=1, max=LOOKED_AT_MAX, help="At most so many.")]


@queues.command("list")
def list_command(*, as_json: AsJson = False) -> None:
    """List queues: messages ready, consumers, dead letters, when the oldest of these died."""
    _print(
        [
            {
                "queue": one.queue, "ready": one.ready, "consumers": one.consumers,
                "dead": one.dead, "oldest": _text(one.oldest),
            }
            for one in _dead_letters().depths()
        ],
        as_json=as_json,
    )  # fmt: skip


@queues.command("show")
def show(queue: Name, *, limit: Limit = 100, as_json: AsJson = False) -> None:
    """Show the dead letters of a queue, the oldest first; they stay where they are."""
    letters = _dead_letters().letters(_queue(queue), limit)
    _print([_line(letter) for letter in letters], as_json=as_json)


@queues.command("redrive")
def redrive(
    queue: Name,
    letter: Annotated[str, typer.Option("--id", help="Only this one (see show).")] = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="The first --limit of them.")] = False,
    limit: Limit = LOOKED_AT_MAX,
    as_json: AsJson = False,
) -> None:
    """Give dead letters back to their queue; each leaves only when it is safely there.

    What the sweeper has handled meanwhile has no second effect.
    """
    if bool(letter) is everything:
        raise typer.BadParameter("either --id or --all", param_hint="--id")
    done = _dead_letters().redrive(_queue(queue), letter or None, limit)
    _none_found(done, letter)
    _print([_line(one) for one in done], as_json=as_json)


@queues.command("drop")
def drop(
    queue: Name,
    letter: Annotated[str, typer.Option("--id", help="Which one (see show).")],
    reason: Annotated[str, typer.Option(help="Why; auditors read it. No names.")],
    by: Annotated[str, typer.Option(help="Official who decides.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Give one dead letter up for good, on record, and say what that means for its event.

    Needs MOTCUA_DATABASE_URL of the service that owns the queue, and MOTCUA_LOG_ID: its inbox is
    told that the event needs no handling any more.
    """
    wanted, meanings = _queue(queue), dict[str, str]()
    url, log_id = _database()

    def record(found: Letter) -> None:
        rows = _ask(
            url,
            "SELECT eventlog.drop_letter(%s, %s, %s, %s, %s, %s, %s)",
            (log_id, queue, found.id, found.position, found.event_id, reason, by),
        )
        # A second copy of the same letter finds the first one's entry.
        meanings.setdefault(found.id, str(rows[0][0]))

    done = _dead_letters().drop(wanted, letter, record)
    _none_found(done, letter)
    lines = [_line(one) | {"meaning": MEANINGS[meanings[one.id]]} for one in done]
    _print(lines, as_json=as_json)


@queues.command("dropped")
def dropped(*, limit: Limit = 100, as_json: AsJson = False) -> None:
    """List what was given up, the newest first: why and by whom (as audit)."""
    url, log_id = _database()
    rows = _ask(
        url,
        "SELECT reactor, letter, pos, reason, dropped_by, to_timestamp(dropped_at / 1e6)"
        " FROM eventlog.dropped WHERE log_id = %s ORDER BY dropped_at DESC LIMIT %s",
        (log_id, limit),
    )
    _print(
        [
            {
                "queue": str(row[0]), "id": str(row[1]),
                "position": row[2] if isinstance(row[2], int) else None, "reason": str(row[3]),
                "by": str(row[4]), "at": _text(row[5] if isinstance(row[5], datetime) else None),
            }
            for row in rows
        ],
        as_json=as_json,
    )  # fmt: skip


def _queue(name: str) -> topology.Queue:
    for queue in topology.queues():
        if queue.name == name:
            return queue
    known = ", ".join(queue.name for queue in topology.queues())
    raise Refused("no_such_queue", f"no queue {name}; there are {known}", f"không có {name}")


def _dead_letters() -> DeadLetters:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_AMQP_URL", ("amqp", "amqps"))
    settings.finish()
    return DeadLetters(url)


def _database() -> tuple[str, int]:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    return url, log_id


def _ask(url: str, query: LiteralString, values: Sequence[object]) -> list[tuple[object, ...]]:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            return connection.execute(query, values).fetchall()
    except psycopg.errors.CheckViolation as error:
        raise Refused(
            "reason_or_name", "--reason has 1 to 500 characters, --by 1 to 100",
            "--reason dài 1 đến 500 ký tự, --by 1 đến 100",
        ) from error  # fmt: skip
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException) as error:
        raise _not_owner() from error
    except psycopg.Error as error:
        if error.sqlstate == "MC004":
            raise _not_owner() from error
        raise Unavailable("postgresql", type(error).__name__) from error


def _not_owner() -> Refused:
    return Refused(
        "foreign_reactor", "this database login does not own that queue",
        "tài khoản này không sở hữu hàng đợi đó",
    )  # fmt: skip


def _none_found(done: Sequence[Letter], letter: str) -> None:
    if letter and not done:
        raise Refused("no_such_letter", f"no dead letter {letter}", f"không có thư {letter}")


def _line(letter: Letter) -> dict[str, Json]:
    return {
        "id": letter.id, "position": letter.position, "type": letter.type,
        "reason": letter.reason, "deaths": letter.deaths, "died_at": _text(letter.died_at),
        "problem": letter.problem,
    }  # fmt: skip


def _text(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(timespec="seconds")


def _print(lines: Sequence[Mapping[str, Json]], *, as_json: bool) -> None:
    """Print a table with its heads, or one object a line."""
    if as_json:
        for line in lines:
            typer.echo(json.dumps(line))
        return
    if not lines:
        typer.echo("none")
        return
    cell: Callable[[Json], str] = lambda value: "-" if value in (None, "") else str(value)  # noqa: E731
    rows = [list(lines[0]), *([cell(value) for value in line.values()] for line in lines)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        words = (word.ljust(width) for word, width in zip(row, widths, strict=True))
        typer.echo("  ".join(words).rstrip())
