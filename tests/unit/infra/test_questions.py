# SPDX-License-Identifier: Apache-2.0
"""Every answer of the auditors' page is true: asked anew, and computed a second time in Python."""

import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from infra.motcua import app
from infra.questions import ask, open_bundle, questions
from services.common.clock import VIETNAM
from services.common.errors import Refused
from services.common.eventlog.record import RecordedEvent
from tests.support import auditors_week
from tests.support.auditors_week import number
from tests.support.bundles import lived, sealed
from tests.support.questions_page import PAGE, rendered, table

Rows = list[tuple[Any, ...]]
Events = Sequence[RecordedEvent]
BLOCK = re.compile(
    r"^## (\S+)\n.*?```sql\n(.*?)\n```\n\n(\|.*?\|)\n(?:\n|\Z)", re.DOTALL | re.MULTILINE
)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's week as a bundle with a Parquet copy."""
    folder = tmp_path_factory.mktemp("week") / "bundle"
    sealed(folder, auditors_week.events, columns=True)
    return folder


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Events]:
    """Two months of made-up stories, as a bundle and as events."""
    folder, events = tmp_path_factory.mktemp("months") / "bundle", list(lived(3, 3_000))
    sealed(folder, lambda: events, columns=True)
    return folder, events


def answer(folder: Path, name: str) -> Rows:
    """Return the answer to a question."""
    with closing(open_bundle(folder)) as connection:
        return list(ask(connection, questions()[name].sql)[1])


def test_every_block_of_the_page_answers_what_stands_below_it(week: Path) -> None:
    """The SQL as printed, the table as printed; at least fifteen, each in two languages."""
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert [name for name, _, _ in blocks] == list(questions())
    assert len(blocks) >= 15
    with closing(open_bundle(week)) as connection:
        for name, sql, shown in blocks:
            names, rows = ask(connection, sql)
            found = list(rows)
            assert table(names, found) == shown, name
            assert found, f"{name}: the page shows an answer"
            assert all(" " in words for words in (questions()[name].vi, questions()[name].en))
    assert rendered(week) == PAGE.read_text(encoding="utf-8")


def test_the_week_is_as_it_was_written_down(week: Path) -> None:
    """What was planted by hand is what the answers name."""
    assert [row[0] for row in answer(week, "late")] == ["H30.33-261123-0002", "H30.33-261123-0001"]
    assert answer(week, "cash-and-receipts")[1] == ("2026-11-25", 20_000, 0, 0, 20_000)
    assert answer(week, "receipt-gaps") == [("BL-VT", 2026, 3, 4)]
    assert [row[0] for row in answer(week, "without-receipt")] == [number("minh")]
    assert [row[:2] for row in answer(week, "read-after-hours")] == [
        ("cb007", "2026-11-23 22:47"), ("cb001", "2026-11-24 10:00"), ("cb007", "2026-11-27 06:59"),
    ]  # fmt: skip
    assert [row[0] for row in answer(week, "pouches-waiting")] == [
        "VT-004",
        "CT-001",
        "CT-002",
        "CT-003",
    ]
    assert [row[5] for row in answer(week, "refunds")] == [True, False]
    assert [row[0] for row in answer(week, "owed")] == [number("em")]
    assert answer(week, "fee-rules")[0][1:] == (
        2, "official:bt001", "2026-11-25 09:30", "2026-12-01", 8_000, 10_000,
    )  # fmt: skip
    assert answer(week, "callbacks")[1][-1] == "open"
    assert answer(week, "erased")[0][-1] == 1
    assert len(answer(week, "sms-unknown")) == len(answer(week, "one-official")) == 1
    assert [row[5] for row in answer(week, "cases")] == [True, False]


def local(event: RecordedEvent) -> datetime:
    """Return when it happened, in Vietnam."""
    return event.occurred_at.astimezone(VIETNAM)


def of(events: Events, *types: str) -> list[RecordedEvent]:
    """Return the events of these types."""
    return [one for one in events if one.type in types]


def late(events: Events) -> Rows:
    """Fold due times and ends of each dossier."""
    due, done, ended = dict[str, datetime](), dict[str, datetime](), set[str]()
    code = dict[str, str]()
    for event in events:
        word, subject = event.type.removeprefix("dossier."), str(event.subject)
        if word in {"accepted", "imported", "rescheduled", "supplement_received", "fee_cleared"}:
            due[subject] = datetime.fromisoformat(str(event.data["due_at"]))
            code[subject] = str(event.data.get("code", code.get(subject)))
        elif word == "completed":
            done.setdefault(subject, event.occurred_at)
        elif word in {"refused", "withdrawn", "stopped"}:
            ended.add(subject)
    end = events[-1].recorded_at
    return sorted((code[one],) for one in due if one not in ended and due[one] < done.get(one, end))


def cash(events: Events) -> Rows:
    """Sum notes and receipts by day."""
    days: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for event in of(events, "kiosk.cash_note_credited", "kiosk.cash_note_unplaced"):
        days[f"{local(event):%Y-%m-%d}"][0] += int(str(event.data["denomination_vnd"]))
    settled = {str(one.event_id): one for one in of(events, "payment.settled")}
    for event in of(events, "receipt.issued"):
        paid = settled[str(event.data["settled_event"])]
        if paid.data["method"] == "cash":
            day = days[f"{local(paid):%Y-%m-%d}"]
            day[1] += int(str(event.data["amount_vnd"]))
            day[2] += int(str(paid.data["overpaid_vnd"]))
    return [(day, a, b, c, a - b - c) for day, (a, b, c) in sorted(days.items())]


def notes(events: Events) -> Rows:
    """Count notes by machine, in the journals and in the books."""
    count, stacked, booked = Counter[str](), Counter[str](), Counter[str]()
    sessions = Counter[str]()
    for event in of(
        events,
        "kiosk.cash_note_credited",
        "kiosk.cash_note_unplaced",
        "kiosk.cash_closed",
        "payment.cash_credited",
        "payment.cash_unplaced",
    ):
        machine = str(event.data.get("machine") or event.stream.split("-")[1])
        if event.type == "kiosk.cash_closed":
            sessions[machine] += int(str(event.data["total_vnd"]))
            continue
        value = int(str(event.data["denomination_vnd"]))
        if event.type.startswith("payment."):
            booked[machine] += value
        else:
            count[machine] += 1
            stacked[machine] += value
    return [(m, count[m], stacked[m], sessions[m], booked[m]) for m in sorted(count)]


def waiting(events: Events) -> Rows:
    """Follow each pouch from the slot to the bag."""
    taken = {
        str(pouch): event.occurred_at
        for event in of(events, "kiosk.bin_emptied") for pouch in event.data["pouches"]  # type: ignore[union-attr]
    }  # fmt: skip
    found = []
    for event in of(events, "kiosk.dossier_deposited"):
        pouch = str(event.data["pouch"])
        if taken.get(pouch, events[-1].recorded_at) - event.occurred_at > timedelta(hours=24):
            found.append((pouch,))
    return sorted(found)


def unknown(events: Events) -> Rows:
    """Return whose last word of a message is that nobody knows."""
    last = {one.stream: one for one in events if one.stream.startswith("notification-")}
    dossier = {one.stream: one.data["dossier"] for one in of(events, "notification.requested")}
    return [
        (dossier[one.stream],)
        for one in sorted(last.values(), key=lambda one: one.position)
        if one.type == "notification.outcome_unknown"
    ]


def uncollected(events: Events) -> Rows:
    """Keep what lies in a cell."""
    lying = dict[str, RecordedEvent]()
    for event in of(events, "dossier.ready", "dossier.returned", "dossier.recalled"):
        lying.pop(event.stream, None)
        if event.type == "dossier.ready":
            lying[event.stream] = event
    old = events[-1].recorded_at - timedelta(days=3)
    return [
        (one.data["machine"], one.data["cell"]) for one in lying.values() if one.occurred_at < old
    ]


def supplements(events: Events) -> Rows:
    """Count requests by procedure."""
    procedure = {
        one.subject: str(one.data["procedure"])
        for one in of(events, "dossier.registered", "dossier.imported")
    }
    counts = Counter(procedure[one.subject] for one in of(events, "dossier.supplement_requested"))
    return sorted(counts.items())


def owed(events: Events) -> Rows:
    """Return what is owed and not paid."""
    paid = {one.stream for one in of(events, "payment.refund_paid")}
    return [
        (one.subject, one.data["owed_vnd"])
        for one in of(events, "payment.closed")
        if one.data["owed_vnd"] and one.stream not in paid
    ]


SECOND: dict[str, tuple[Callable[[Events], Rows], Callable[[Rows], Rows]]] = {
    "late": (late, lambda rows: sorted((row[0],) for row in rows)),
    "cash-and-receipts": (cash, lambda rows: rows),
    "notes": (notes, lambda rows: [row[:5] for row in rows]),
    "pouches-waiting": (waiting, lambda rows: sorted((row[0],) for row in rows)),
    "sms-unknown": (unknown, lambda rows: [(row[1],) for row in rows]),
    "uncollected": (uncollected, lambda rows: [row[1:3] for row in rows]),
    "supplements": (supplements, lambda rows: sorted(row[:2] for row in rows)),
    "owed": (owed, lambda rows: [(row[0], row[3]) for row in rows]),
}


@pytest.mark.parametrize("name", SECOND)
def test_a_second_computation_agrees(week: Path, months: tuple[Path, Events], name: str) -> None:
    """In Python, event by event, over the week and over months."""
    compute, shown = SECOND[name]
    assert shown(answer(week, name)) == compute(auditors_week.events())
    assert shown(answer(months[0], name)) == compute(months[1])


def test_without_a_copy_the_lines_are_asked(week: Path, tmp_path: Path) -> None:
    """The same columns with the same values, from the events' own lines."""
    sealed(tmp_path / "bare", auditors_week.events)
    wanted = "SELECT * REPLACE (data::VARCHAR AS data, meta::VARCHAR AS meta) FROM event ORDER BY position"
    with closing(open_bundle(week)) as one, closing(open_bundle(tmp_path / "bare")) as other:
        copied, bare = ask(one, wanted), ask(other, wanted)
        assert copied[0] == bare[0]
        rows = list(copied[1])
        assert rows == list(bare[1])
        assert len(rows) == len(auditors_week.events())
        described = [
            [row[:2] for row in ask(connection, "DESCRIBE event")[1]] for connection in (one, other)
        ]
        assert described[0] == described[1]


def run(*words: str) -> Any:
    """Run the command line."""
    return CliRunner().invoke(app, ["questions", *words])


def test_the_command_line(week: Path, tmp_path: Path) -> None:
    """A list, a table, JSON, CSV, SQL of one's own, a file for DuckDB; and what it refuses."""
    listed = run("--list", "--format", "json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in listed] == list(questions())
    assert "H30.33-261123-0002" in run(str(week), "late").stdout
    rows = [
        json.loads(line) for line in run(str(week), "late", "--format", "json").stdout.splitlines()
    ]
    assert [row["hours_late"] for row in rows] == [30.0, 18.5]
    said = list(
        csv.DictReader(io.StringIO(run(str(week), "receipt-gaps", "--format", "csv").stdout))
    )
    assert said == [{"symbol": "BL-VT", "year": "2026", "first_missing": "3", "last_missing": "4"}]
    own = run(
        str(week),
        "--format",
        "csv",
        "--sql",
        "SELECT min(occurred_at) AS t, sum(1) AS n FROM event",
    )
    assert own.stdout == f"t,n\n2026-11-23 06:00:00+07:00,{len(auditors_week.events())}\n"
    file = tmp_path / "audit.duckdb"
    assert run(str(week), "--database", str(file)).exit_code == 0
    with closing(duckdb.connect(str(file), read_only=True)) as kept:
        assert kept.execute("SELECT count(*) FROM dossier").fetchone() is not None
    for words, code in (
        ((str(week), "nothing"), "no_such_question"), ((str(week),), "no_question"),
        ((str(tmp_path), "late"), "no_bundle"), ((str(week), "--sql", "SELEC 1"), "cannot_ask"),
        ((str(week), "late", "--database", str(file)), "file_exists"),
    ):  # fmt: skip
        refused = run(*words).exception
        assert isinstance(refused, Refused), words
        assert refused.code == code
