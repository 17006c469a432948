# SPDX-License-Identifier: Apache-2.0
"""Parquet columns give back exactly the events that went in, and never half a file."""

from dataclasses import fields, replace
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from services.common.errors import Malformed
from services.common.eventlog import columns
from services.common.eventlog.bulk import Selection
from services.common.eventlog.columns import SCHEMA, read_parquet, write_parquet
from services.common.eventlog.record import RecordedEvent

LONG = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON_BYTES = TEXT.map(str.encode)
HASH = st.binary(min_size=32, max_size=32)
EVENT = st.builds(
    RecordedEvent, log_id=st.integers(0, 2**31 - 1), position=st.just(0), event_id=st.uuids(),
    stream=TEXT, version=LONG, type=TEXT, schema=st.integers(1, 2**31 - 1),
    subject=st.none() | TEXT, occurred_at_us=LONG, recorded_at_us=LONG, raw_data=JSON_BYTES,
    raw_meta=JSON_BYTES, content_hash=HASH, leaf_hash=HASH,
)  # fmt: skip


def numbered(events: list[RecordedEvent], first: int = 1) -> list[RecordedEvent]:
    """Return the events at rising positions."""
    return [replace(event, position=first + n) for n, event in enumerate(events)]


def plain(count: int) -> list[RecordedEvent]:
    """Return ordinary events of three types, two streams and one dossier."""
    return numbered(
        [
            RecordedEvent(
                log_id=1, position=0, event_id=UUID(int=n), stream=f"dossier-{n % 2}", version=n,
                type=f"dossier.kind{n % 3}", schema=1, subject="d" if n % 2 else None,
                occurred_at_us=n, recorded_at_us=n, raw_data=b'{"n":%d}' % n, raw_meta=b"{}",
                content_hash=bytes(32), leaf_hash=bytes(32),
            )
            for n in range(count)
        ]
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENT, max_size=20), st.integers(1, 2**62))
def test_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, events: list[RecordedEvent], first: int
) -> None:
    """Every field of every event comes back equal, whatever it holds."""
    path = tmp_path_factory.mktemp("columns") / "events.parquet"
    wanted = numbered(events, first)
    written = write_parquet(path, iter(wanted))
    found = list(read_parquet(path))
    assert found == wanted
    assert [[getattr(e, f.name) for f in fields(e)] for e in found] == [
        [getattr(e, f.name) for f in fields(e)] for e in wanted
    ]
    assert (written.events, written.size_bytes) == (len(wanted), path.stat().st_size)
    assert (written.first, written.last) == ((first, first + len(wanted) - 1) if wanted else (0, 0))


def test_selection_over_many_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges, types, stream and dossier select alone and together, as they do from the log."""
    monkeypatch.setattr(columns, "ROWS_PER_GROUP", 40)
    monkeypatch.setattr(columns, "_ROWS_PER_BATCH", 30)
    events, path = plain(500), tmp_path / "events.parquet"
    write_parquet(path, events)
    assert parquet.ParquetFile(path).metadata.num_row_groups == 13
    cases = {
        Selection(): lambda _: True,
        Selection(after=41, through=95): lambda e: 41 < e.position <= 95,
        Selection(after=95, through=95): lambda _: False,
        Selection(after=499): lambda e: e.position == 500,
        Selection(through=10**12): lambda _: True,
        Selection(types=("dossier.kind1",)): lambda e: e.type == "dossier.kind1",
        Selection(types=()): lambda _: False,
        Selection(stream="dossier-1", through=77): lambda e: (
            e.stream == "dossier-1" and e.position <= 77
        ),
        Selection(subject="d", after=290): lambda e: e.subject == "d" and e.position > 290,
    }
    for selection, wanted in cases.items():
        assert list(read_parquet(path, selection)) == [e for e in events if wanted(e)], selection


@pytest.mark.parametrize(
    "broken",
    [
        lambda e: [*e[:5], e[3]],
        lambda e: [*e[:5], e[4]],
        lambda e: [*e[:5], replace(e[5], raw_data=b"\xff")],
        lambda e: [*e[:5], replace(e[5], leaf_hash=b"short")],
    ],
    ids=["falling", "twice", "no UTF-8", "no hash"],
)
def test_what_does_not_fit_leaves_nothing(tmp_path: Path, broken: object) -> None:
    """An event that cannot be held is said as one; neither file nor part of it stays."""
    with pytest.raises(Malformed):
        write_parquet(tmp_path / "events.parquet", broken(plain(10)))  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_not_read(tmp_path: Path) -> None:
    """Cut off, one bit flipped, not ours, or with other columns: each is Malformed."""
    path = tmp_path / "events.parquet"
    write_parquet(path, plain(100))
    whole = path.read_bytes()
    flipped = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    for content in (whole[:-9], b"", b"PAR1", flipped):
        path.write_bytes(content)
        with pytest.raises(Malformed):
            list(read_parquet(path))
    parquet.write_table(pa.table({"position": [1]}), path)
    with pytest.raises(Malformed):
        list(read_parquet(path))
    parquet.write_table(pa.table([[]] * len(SCHEMA), names=SCHEMA.names), path)
    with pytest.raises(Malformed):
        list(read_parquet(path))


def test_duckdb_reads_it(tmp_path: Path) -> None:
    """An auditor's tool finds times, identifiers and JSON as such."""
    path = tmp_path / "events.parquet"
    write_parquet(path, plain(3))
    found = duckdb.sql(
        f"SELECT (data->>'n')::int, event_id, epoch_us(recorded_at), hex(leaf_hash) FROM '{path}'"
    ).fetchall()
    assert found == [(n, UUID(int=n), n, "00" * 32) for n in range(3)]
