# SPDX-License-Identifier: Apache-2.0
"""The account of the day: what happened, what it cost, and whether every book says the same."""

import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from infra.audit_books import Line, compare, dossiers_of, whole_log
from infra.day import figures, privacy
from infra.day.crowd import Crowd
from infra.day.listener import Listener
from infra.day.stories import STORIES
from infra.hands import GaveUpError, Hands
from infra.local.settings import LOG_ID, Stack
from services.common.clock import VIETNAM
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent
from services.common.money import Vnd, vnd_text
from services.payment.application.queries import ledger

PATIENCE_S: Final = 60.0


def account(
    console: Console,
    local: Stack,
    crowd: Crowd,
    failed: list[str],
    *,
    listener: Listener,
    raw: Path | None,
) -> int:
    """Print the account; returns the exit code: 0 only if everything agrees.

    Args:
        console: where.
        local: the installation, still running.
        crowd: who came, and how it went.
        failed: troubles that did not happen.
        listener: who heard the broker all day.
        raw: the servers' data folder; None where somebody else runs them.
    """
    hands = Hands(local)
    log = PostgresLog(local.database_url("motcua_audit"), LOG_ID)
    try:
        lines = _settled_lines(log, hands, crowd)
        events = whole_log(log)
        lines += figures.kinds(events)
        lines += figures.read_models(local, log)
        figures.wait_sealed(local, log)
        lines += privacy.lines(local, log, crowd.outcomes, raw)
        lines += figures.seals(local, log)
        lines.append(listener.heard(log.head()))
        _story(console, log, crowd.outcomes[0].dossier)
        _counts(console, "Dossiers by status", figures.by_status(events))
        _counts(console, "Where pouches, papers and results are", figures.by_place(events))
        _counts(console, "Messages by state", figures.messages(events))
        _counts(console, "Reported to the one-stop software, by status", figures.reports(events))
        _money(console, log)
        _latencies(console, local, events)
        _touches(console, events)
    finally:
        log.close()
    for wrong in (*(outcome.wrong for outcome in crowd.outcomes if outcome.wrong), *failed):
        console.print(f"[red]{wrong}", highlight=False)
        lines.append(Line("a visit or a trouble that went wrong", wrong, "nothing"))
    return _verdict(console, lines)


def _settled_lines(log: PostgresLog, hands: Hands, crowd: Crowd) -> list[Line]:
    """Compare until all agrees or patience is over: acknowledgements may be on the way."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            lines = [*_endings(whole_log(log), crowd), *compare(log, hands.books())]
        except GaveUpError as error:
            return [Line("books of the outside world", str(error), "readable")]
        if all(line.agrees for line in lines) or time.monotonic() > deadline:
            return lines
        time.sleep(0.5)


def _endings(events: list[RecordedEvent], crowd: Crowd) -> list[Line]:
    dossiers = dossiers_of(events)
    told = Counter[str]()
    ended = Counter[str]()
    for outcome in crowd.outcomes:
        expected = STORIES[outcome.visit.way].ends_in
        told[outcome.visit.way] += 1
        ended[outcome.visit.way] += dossiers[outcome.dossier].status == expected
    return [Line("visits that ended as their stories tell", ended, told)]


def _story(console: Console, log: PostgresLog, dossier: str) -> None:
    table = Table("at", "what happened", "who", title=f"The first visit: dossier {dossier}")
    for event in log.read_subject(dossier):
        at = event.occurred_at.astimezone(VIETNAM)
        table.add_row(f"{at:%H:%M:%S.%f}"[:12], event.type, str(event.meta["actor"]))
    console.print(table)


def _counts(console: Console, title: str, counts: dict[str, int]) -> None:
    table = Table("", "", title=title, show_header=False)
    for name, count in counts.items():
        table.add_row(name, str(count))
    table.add_row("[bold]all", f"[bold]{sum(counts.values())}")
    console.print(table)


def _money(console: Console, log: PostgresLog) -> None:
    book = ledger(log)
    table = Table("account", "balance", title="Money, double entry")
    for name, amount in figures.by_account(book.balances()).items():
        table.add_row(name, vnd_text(Vnd(amount)))
    table.add_row("[bold]sum", f"[bold]{vnd_text(Vnd(book.total()))}")
    console.print(table)


def _latencies(console: Console, local: Stack, events: list[RecordedEvent]) -> None:
    table = Table("from → to", "count", "p50", "p95", "longest", title="How long it took")
    for what, seconds in figures.latencies(local, events).items():
        table.add_row(what, *seconds)
    console.print(table)
    console.print("The longest ones waited out a cut line or a dead broker.\n", style="dim")


def _touches(console: Console, events: list[RecordedEvent]) -> None:
    machine, counter = figures.touches(events)
    table = Table(
        "acts of staff", "with machines", "counter only", title="Work of the one-stop staff"
    )
    for what in counter:
        table.add_row(what, str(machine.get(what, 0)), str(counter[what]))
    ours, theirs = sum(machine.values()), sum(counter.values())
    table.add_row("[bold]all", f"[bold]{ours}", f"[bold]{theirs}")
    console.print(table)
    saved = 100 * (1 - ours / theirs)
    console.print(f"{saved:.0f} % fewer acts; the province set out for 30–50 %\n")


def _verdict(console: Console, lines: list[Line]) -> int:
    table = Table("compared", "log", "outside", "", title="The log and the outside world's books")
    for line in lines:
        mark = "[green]agrees" if line.agrees else "[red]DIFFERS"
        table.add_row(line.what, _short(line.ours), _short(line.theirs), mark)
    console.print(table)
    wrong = [line for line in lines if not line.agrees]
    for line in wrong:
        console.print(f"[red]{line.what}[/red]: {_difference(line.ours, line.theirs)}")
    console.print("[green]every line agrees" if not wrong else f"[red]{len(wrong)} lines differ")
    return 1 if wrong else 0


def _difference(ours: Any, theirs: Any) -> str:
    """Return only what differs, for people who have to look for it."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = [name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)]
        return "; ".join(f"{name}: {ours.get(name)} ≠ {theirs.get(name)}" for name in names[:10])
    if isinstance(ours, list) and isinstance(theirs, list):
        return f"only here {_less(ours, theirs)}, only there {_less(theirs, ours)}"
    return f"{ours} ≠ {theirs}"


def _less(these: list[Any], those: list[Any]) -> list[str]:
    return sorted((Counter(map(str, these)) - Counter(map(str, those))).elements())[:10]


def _short(value: object) -> str:
    if isinstance(value, Counter):
        return str(sum(value.values()))
    if isinstance(value, list | dict):
        return f"{len(value)} entries"
    text = str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"  # noqa: PLR2004 - fits the table
