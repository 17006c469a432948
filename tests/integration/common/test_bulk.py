# SPDX-License-Identifier: Apache-2.0
"""The bulk reader says exactly what the port's paged reading says."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from services.common.canonical import canonical_json
from services.common.errors import Unavailable
from services.common.eventlog.bulk import BulkReader, Selection
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import AppendRequest, RecordedEvent
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, new_event, request

SUBJECT = "0190a000-0000-7000-8000-000000000001"
ODD = (
    b"{}",
    canonical_json({"t": "Hồ sơ đã nhận ✓ 𝄞", "n": None, "e": "", "l": [], "z": "\u0000"}),
    canonical_json({"big": "ệ" * 20_000}),
    canonical_json({"nested": {"a": [None, True, -1, 2**53 - 1]}}),
)


def everything(log: EventLog) -> list[RecordedEvent]:
    """Read the whole log page by page."""
    found: list[RecordedEvent] = []
    while page := log.read_all(len(found), limit=97):
        found += page
    return found


def odd(stream: str, payloads: Sequence[bytes]) -> AppendRequest:
    """Return a request whose events carry ``payloads``; every other one has a subject."""
    asked = request((stream, 0, 1))
    events = tuple(
        replace(
            new_event(),
            data=data,
            subject=SUBJECT if number % 2 else None,
            occurred_at_us=-number,
        )
        for number, data in enumerate(payloads)
    )
    return replace(asked, appends=(replace(asked.appends[0], events=events),))


@pytest.fixture(scope="module")
def filled(database: Database) -> list[RecordedEvent]:
    """Fill the log with ordinary and odd events, also ones longer than a block; return all."""
    log = database.log()
    try:
        for number in range(40):
            log.append(request((fresh(), 0, 7), kind=f"dossier.kind{number % 3}"))
        log.append(odd("dossier-ố/á 1", ODD))
        for _ in range(12):
            log.append(odd(fresh(), ODD))
        return everything(log)
    finally:
        log.close()


@pytest.mark.parametrize("slice_positions", [1, 50, 20_000])
def test_same_records_as_paged_reading(
    database: Database, filled: list[RecordedEvent], slice_positions: int
) -> None:
    """Whatever the slices, every field of every record is equal, odd values too."""
    reader = BulkReader(database.url_for("motcua_audit"), LOG_ID, slice_positions=slice_positions)
    assert list(reader.read()) == filled
    assert reader.head() == len(filled)


def test_json_is_decoded_on_demand(database: Database, filled: list[RecordedEvent]) -> None:
    """Decoded facts are equal too, and nothing is decoded before somebody asks."""
    read = list(BulkReader(database.url_for("motcua_audit"), LOG_ID).read())
    assert not any({"data", "meta"} & set(vars(event)) for event in read)
    assert [(e.data, e.meta) for e in read] == [(e.data, e.meta) for e in filled]


def test_selection(database: Database, filled: list[RecordedEvent]) -> None:
    """Ranges, types, stream and dossier select alone and together; all in position order."""
    reader = BulkReader(database.url_for("motcua_audit"), LOG_ID, slice_positions=30)
    odd_stream = "dossier-ố/á 1"
    cases = {
        Selection(after=11, through=95): lambda e: 11 < e.position <= 95,
        Selection(after=95, through=95): lambda _: False,
        Selection(through=10**12): lambda _: True,
        Selection(types=("dossier.kind1",)): lambda e: e.type == "dossier.kind1",
        Selection(types=()): lambda _: False,
        Selection(stream=odd_stream): lambda e: e.stream == odd_stream,
        Selection(subject=SUBJECT, after=290): lambda e: e.subject == SUBJECT and e.position > 290,
    }
    for selection, wanted in cases.items():
        read = list(reader.read(selection))
        assert read == [event for event in filled if wanted(event)], selection
        assert all(a.position < b.position for a, b in pairwise(read))


def test_stopping_early_leaves_the_reader_usable(
    database: Database, filled: list[RecordedEvent]
) -> None:
    """Who stops after a few events leaves nothing open behind; the next reading is whole."""
    reader = BulkReader(database.url_for("motcua_audit"), LOG_ID)
    reading = reader.read()
    assert [next(reading) for _ in range(3)] == filled[:3]
    reading.close()
    assert sum(1 for _ in reader.read()) == len(filled)


def test_other_log_is_empty(database: Database) -> None:
    """A log that does not exist has no head and no events."""
    reader = BulkReader(database.url_for("motcua_audit"), LOG_ID + 1)
    assert (reader.head(), list(reader.read())) == (0, [])


def test_database_away() -> None:
    """An outage is said as one."""
    reader = BulkReader("postgresql://nobody@127.0.0.1:1/none", 1)
    with pytest.raises(Unavailable):
        list(reader.read())
    with pytest.raises(Unavailable):
        reader.head()
