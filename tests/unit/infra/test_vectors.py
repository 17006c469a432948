# SPDX-License-Identifier: Apache-2.0
"""Folds by SQL over columns yield what the folds themselves make, event by event."""

import uuid
from collections.abc import Iterator
from random import Random

import pytest

from infra.cli_upkeep import projections
from infra.replaying import vectors
from infra.replaying.running import Work, replay
from infra.replaying.sources import Columns
from infra.replaying.vectors import VectorProjection
from services.auditing.application.moments import Moment
from services.common.canonical import canonical_json
from services.common.contracts.registry import EventContract, all_contracts
from services.common.errors import Unavailable
from services.common.eventlog.columns import write_parquet
from services.common.eventlog.record import RecordedEvent
from tests.support.generated import generated_events

VECTORS = {name: one for name, one in projections().items() if isinstance(one, VectorProjection)}
MOST = 5_000


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    """Whole stories in two files."""
    folder = tmp_path_factory.mktemp("stories")
    events = list(generated_events(MOST, seed=3))
    for first in (0, 3_000):
        end = 3_000 if first == 0 else MOST * 2
        write_parquet(folder / f"{first:05d}.parquet", events[first:end])
    return Columns.under(folder)


@pytest.fixture(scope="module")
def mess(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    """Every version of every event at random on few streams: no state machine holds here."""
    folder = tmp_path_factory.mktemp("mess")
    write_parquet(folder / "mess.parquet", _mess(Random(20)))
    return Columns.under(folder)


@pytest.mark.parametrize("name", sorted(VECTORS))
@pytest.mark.parametrize("through", [None, 0, 1, 37, 1_234, 4_999])
def test_stories(stories: Columns, name: str, through: int | None) -> None:
    """At any position, also before the first event of a kind."""
    _same(stories, name, Moment(position=through))


@pytest.mark.parametrize("name", sorted(VECTORS))
@pytest.mark.parametrize("through", [None, 12, 25, 60, 1_000])
def test_any_order_of_any_version(mess: Columns, name: str, through: int | None) -> None:
    """Old schemas, repeated beginnings, and events before theirs are folded alike."""
    _same(mess, name, Moment(position=through))


def test_until_a_time(stories: Columns) -> None:
    """What was recorded by then, and nothing after."""
    middle = list(generated_events(MOST, seed=3))[2_000].recorded_at_us
    for name in VECTORS:
        _same(stories, name, Moment(until_us=middle))


def test_all_that_can_be_are(mess: Columns) -> None:
    """Custody alone depends on other rows; the others have a query for each of their tables."""
    assert set(projections()) - set(VECTORS) == {"intake.custody"}
    for projection in VECTORS.values():
        assert set(projection.vectors) == set(projection.tables)
    assert mess.head() == MOST


def test_too_little_memory(stories: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is no broken file."""
    monkeypatch.setattr(vectors, "MEMORY_MB", 1)
    with pytest.raises(Unavailable, match="duckdb"):
        replay(VECTORS["notify.messages"], stories, Moment(), Work(by_sql=True))


def _same(source: Columns, name: str, to: Moment) -> None:
    by_rows = replay(VECTORS[name], source, to, Work())
    for each in (MOST, MOST // 3):
        by_sql = replay(VECTORS[name], source, to, Work(by_sql=True, jobs=2, each=each))
        assert (by_sql.rows, by_sql.digest) == (by_rows.rows, by_rows.digest)


def _mess(dice: Random) -> Iterator[RecordedEvent]:
    contracts = [
        one for one in all_contracts()
        if one.type.startswith(("dossier.", "notification.", "kiosk.", "config."))
    ]  # fmt: skip
    contracts += 4 * [one for one in contracts if one.type.startswith("config.")]
    subjects = [str(uuid.UUID(int=dice.getrandbits(128), version=4)) for _ in range(120)]
    versions = dict[str, int]()
    for position in range(1, MOST + 1):
        contract, subject = dice.choice(contracts), dice.choice(subjects)
        stream = _stream(contract, subject, dice)
        versions[stream] = versions.get(stream, 0) + 1
        yield RecordedEvent(
            log_id=1, position=position, event_id=uuid.UUID(int=position), stream=stream,
            version=versions[stream], type=contract.type, schema=contract.schema, subject=subject,
            occurred_at_us=position, recorded_at_us=1_000_000 + position // 3,
            raw_data=canonical_json(_varied(contract, dice)), raw_meta=b"{}",
            content_hash=bytes(32), leaf_hash=bytes(32),
        )  # fmt: skip


def _stream(contract: EventContract, subject: str, dice: Random) -> str:
    category = contract.type.partition(".")[0]
    serial = f"VT{dice.randrange(1, 9):02d}"
    return {"kiosk": f"kiosk-{serial}-1", "config": f"config-{serial}"}.get(
        category, f"{category}-{subject}"
    )


def _varied(contract: EventContract, dice: Random) -> dict[str, object]:
    """Return the version's example, its interesting fields changed by chance."""
    data = contract.example()
    for name, values in {
        "return_machine": ("VT01", None), "epoch": (1, 5, 3), "cell": (1, 2, 77),
        "due_at": ("2026-11-27T17:00:00+07:00", "2026-12-01T10:30:00.5Z"),
        "code": ("H30.12-261123-0001", 'odd "code"\\ ệ'), "state": ("DELIVRD", "UNDELIV"),
    }.items():  # fmt: skip
        if name in data and not isinstance(data[name], dict):
            data[name] = dice.choice(values)
    return data
