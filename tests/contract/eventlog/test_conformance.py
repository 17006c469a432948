# SPDX-License-Identifier: Apache-2.0
"""What every event log does: one suite on PostgreSQL and on the in-memory twin."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.common import personal
from services.common.canonical import canonical_json
from services.common.errors import Conflict, Malformed, Refused
from services.common.eventlog.memory import MemoryLog
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import (
    Appended,
    AppendRequest,
    Handled,
    NewEvent,
    StreamAppend,
    content_bytes,
    content_hash,
    leaf_hash,
)
from tests.support.database import Database
from tests.support.events import fresh, new_event, request

REACTOR = "intake.reactions"


@pytest.fixture(params=["memory", "postgresql"])
def log(request: pytest.FixtureRequest) -> Iterator[EventLog]:
    """Both implementations, logged in as intake."""
    if request.param == "memory":
        yield MemoryLog(role="motcua_intake")
        return
    database: Database = request.getfixturevalue("database")
    opened = database.log("motcua_intake")
    yield opened
    opened.close()


def test_append_gives_dense_positions_and_versions(log: EventLog) -> None:
    """Positions follow the head without a hole, versions begin at 1."""
    stream, head = fresh(), log.head()
    answer = log.append(request((stream, 0, 3)))
    assert (answer.first_position, answer.count, answer.duplicate) == (head + 1, 3, False)
    events = log.read_stream(stream)
    assert [(e.position, e.version) for e in events] == [(head + n, n) for n in (1, 2, 3)]
    assert log.stream_version(stream) == 3


def test_expected_version_is_exact(log: EventLog) -> None:
    """A wrong expected version is a conflict that carries the actual one; nothing is appended."""
    stream = fresh()
    log.append(request((stream, 0, 2)))
    head = log.head()
    for expected in (0, 1, 3):
        with pytest.raises(Conflict) as caught:
            log.append(request((stream, expected, 1)))
        assert (caught.value.expected_version, caught.value.actual_version) == (expected, 2)
    with pytest.raises(Conflict) as absent:
        log.append(request((fresh(), 5, 1)))
    assert absent.value.actual_version == 0
    assert log.head() == head


def test_same_request_gets_the_first_answer(log: EventLog) -> None:
    """The same key and digest get the first answer again, however often it is sent."""
    asked = request((fresh(), 0, 2), (fresh(), 0, 1))
    first = log.append(asked)
    for _ in range(3):
        again = log.append(asked)
        assert (again.first_position, again.count, again.duplicate) == (
            first.first_position, 3, True,
        )  # fmt: skip
    found = log.answer_of(asked.source, asked.key, asked.digest)
    assert found is not None
    assert found.first_position == first.first_position


def test_key_with_another_digest_is_refused(log: EventLog) -> None:
    """One key stands for one request for ever."""
    log.append(request((fresh(), 0, 1), key="k1", asked="a"))
    with pytest.raises(Refused) as caught:
        log.append(request((fresh(), 0, 1), key="k1", asked="b"))
    assert caught.value.code == "idempotency_key_reused"


def test_request_over_streams_is_all_or_nothing(log: EventLog) -> None:
    """One stream's conflict leaves every stream of the request untouched."""
    taken, free = fresh(), fresh()
    log.append(request((taken, 0, 1)))
    with pytest.raises(Conflict):
        log.append(request((free, 0, 1), (taken, 0, 1)))
    assert log.stream_version(free) == 0


def test_requests_together_have_each_its_own_answer(log: EventLog) -> None:
    """What is wrong with one request of many is its own answer; the good ones are appended."""
    taken, new = fresh(), fresh()
    known = request((taken, 0, 2))
    first = log.append(known)
    head = log.head()
    bare = request(handled=Handled(reactor=REACTOR, position=head))
    answers = log.append_all([
        request((new, 0, 2)), request((taken, 0, 1)), known, request((fresh("payment"), 0, 1)),
        request(("nodash", 0, 1)), bare, request((new, 2, 1)), request((fresh(), 0, 1)),
    ])  # fmt: skip
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds == [
        "Appended", "Conflict", "Appended", "Refused", "Malformed", "Appended", "Appended",
        "Appended",
    ]  # fmt: skip
    assert answers[2] == replace(first, duplicate=True)
    assert log.head() == head + 4
    assert [event.version for event in log.read_stream(new)] == [1, 2, 3]
    assert _handled(log, [head]) == {head}
    assert log.append_all([]) == []


def test_requests_together_are_in_their_order(log: EventLog) -> None:
    """Requests for different streams stand in the log as they were given."""
    asked = [request((fresh(), 0, 1)) for _ in range(50)]
    head = log.head()
    answers = log.append_all(asked)
    assert [one.first_position for one in answers if isinstance(one, Appended)] == [
        head + place for place in range(1, 51)
    ]
    streams = [event.stream for event in log.read_all(head)]
    assert streams == [one.appends[0].stream for one in asked]


def test_requests_together_are_one_commit(database: Database) -> None:
    """PostgreSQL gives all of them the one time of their batch."""
    log = database.log("motcua_intake")
    head = log.head()
    log.append_all([request((fresh(), 0, 1)) for _ in range(50)])
    events = log.read_all(head)
    log.close()
    assert (len(events), len({event.recorded_at_us for event in events})) == (50, 1)


def test_foreign_category_is_refused(log: EventLog) -> None:
    """Intake's login does not write payment's streams."""
    with pytest.raises(Refused) as caught:
        log.append(request((fresh("payment"), 0, 1)))
    assert caught.value.code == "foreign_category"


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (request(), "appends"),
        (request(*((fresh(), 0, 1) for _ in range(9))), "appends"),
        (request(("dossier-a", 0, 1), ("dossier-a", 1, 1)), "appends"),
        (request(("dossier-many", 0, 501)), "events"),
        (request(("nodash", 0, 1)), "stream"),
        (request(("dossier-b", -1, 1)), "expected_version"),
        (request(("dossier-c", 0, 0)), "events"),
        (request(("dossier-d", 2**53, 1)), "expected_version"),
        (request(("dossier-" + "x" * 200, 0, 1)), "stream"),
        (request(("dossier-\x00", 0, 1)), "stream"),
        (request(("dossier-\ud800", 0, 1)), "stream"),
        (request(("dossier-e", 0, 1), key="k" * 201), "key"),
        (request(("dossier-f", 0, 1), source=""), "source"),
        (request(("dossier-g", 0, 1), kind="dossier.\n"), "type"),
        (request(("dossier-h", 0, 1), subject="\ud800"), "subject"),
        (request(handled=Handled(reactor="", position=1)), "handled.reactor"),
        (request(handled=Handled(reactor="r", position=0)), "handled.position"),
        (replace(request(("dossier-i", 0, 1)), cause_ms=2**48), "cause_ms"),
        (replace(request(("dossier-j", 0, 1)), digest=b"short"), "digest"),
    ],
)
def test_limits_name_the_field(log: EventLog, broken: AppendRequest, field: str) -> None:
    """A request over a limit is refused before anything is sent, naming the field."""
    head = log.head()
    with pytest.raises(Malformed) as caught:
        log.append(broken)
    assert field in {problem.field for problem in caught.value.problems}
    assert log.head() == head


def test_two_requests_on_one_stream_at_once(log: EventLog) -> None:
    """Of many requests for the same version exactly one wins, the others are told the truth."""
    stream, start = fresh(), threading.Barrier(8)

    def attempt(_: int) -> int:
        start.wait()
        try:
            log.append(request((stream, 0, 1)))
        except Conflict as conflict:
            return conflict.actual_version
        return -1

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(8)))
    assert sorted(outcomes) == [-1, 1, 1, 1, 1, 1, 1, 1]


def test_neighbours_of_a_conflict_are_not_failed(log: EventLog) -> None:
    """Requests that travel in one batch with a conflict get their own answers."""
    taken = fresh()
    log.append(request((taken, 0, 1)))

    def attempt(place: int) -> str:
        try:
            log.append(request((taken if place % 2 else fresh(), 0, 1)))
        except Conflict:
            return "conflict"
        return "ok"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(attempt, range(64)))
    assert outcomes == ["ok", "conflict"] * 32


def test_hashes_are_those_of_the_record(log: EventLog) -> None:
    """Every field is as asked; content and leaf hash are what anybody computes from the record."""
    stream, event = fresh(), replace(new_event(7, subject=fresh()), schema=2)
    asked = request((stream, 0, 1))
    asked = AppendRequest(
        source=asked.source, key=asked.key, digest=asked.digest, cause_ms=asked.cause_ms,
        appends=(StreamAppend(stream=stream, expected_version=0, events=(event,)),),
    )  # fmt: skip
    log.append(asked)
    stored = log.read_stream(stream)[0]
    content = content_bytes(
        log_id=93, event_id=asked.event_id(0), stream=stream, version=1, event=event
    )
    assert stored.content_hash == content_hash(content)
    assert stored.leaf_hash == leaf_hash(stored.content_hash, stored.recorded_at_us)
    assert (stored.log_id, stored.event_id) == (93, asked.event_id(0))
    assert (stored.stream, stored.version) == (stream, 1)
    assert event == NewEvent(
        type=stored.type, schema=stored.schema, data=stored.raw_data, meta=stored.raw_meta,
        occurred_at_us=stored.occurred_at_us, subject=stored.subject,
    )  # fmt: skip


def test_subject_reads_over_all_streams(log: EventLog) -> None:
    """One dossier's story is one read in position order, up to a position or a moment."""
    subject = fresh()
    log.append(request((fresh(), 0, 2), (fresh(), 0, 1), subject=subject))
    story = log.read_subject(subject)
    assert [e.position for e in story] == sorted(e.position for e in story)
    assert len(story) == 3
    assert len(log.read_subject(subject, until_position=story[1].position)) == 2
    assert log.read_subject(subject, until=datetime(2001, 1, 1, tzinfo=UTC)) == []


def test_a_category_and_a_stretch_are_read(log: EventLog) -> None:
    """Streams of one category with their versions; no position beyond the stretch is looked at."""
    ours, other = fresh("procedure"), fresh("procedures")
    head = log.head()
    log.append(request((ours, 0, 3), kind="procedure.offered"))
    with pytest.raises(Refused):
        log.append(request((other, 0, 1)))
    log.append(request((fresh(), 0, 2)))
    found = log.category_versions("procedure")
    assert found[ours] == 3
    assert {stream.partition("-")[0] for stream in found} == {"procedure"}
    assert [e.position for e in log.read_all(head, through=head + 2)] == [head + 1, head + 2]
    assert not log.read_all(head, through=head + 3, types=["dossier.ready"])
    assert len(log.read_all(head, through=head + 4, types=["dossier.ready"])) == 1
    (last,) = log.read_ids(head, through=head + 4, types=["dossier.ready"], limit=9)
    assert last == (head + 4, log.read_positions([head + 4])[0].event_id)
    assert len(log.read_ids(head, through=head + 9, types=["procedure.offered"], limit=2)) == 2


def test_inbox_finds_what_is_not_handled(log: EventLog) -> None:
    """Unhandled events are found until marked; done_through stops below the first open one."""
    kind = "dossier.completed"
    first = log.append(request((fresh(), 0, 1), kind=kind)).first_position
    second = log.append(request((fresh(), 0, 1), kind=kind)).first_position
    soon = datetime.now(UTC) + timedelta(hours=1)
    opened = [e.position for e in log.unhandled(REACTOR, [kind], recorded_before=soon)]
    assert opened[-2:] == [first, second]
    log.append(request(handled=Handled(reactor=REACTOR, position=second)))
    assert _handled(log, [second, first, second]) == {second}
    assert log.advance_done_through(REACTOR, [kind], recorded_before=soon) == first - 1
    log.append(request(handled=Handled(reactor=REACTOR, position=first)))
    assert log.advance_done_through(REACTOR, [kind], recorded_before=soon) == log.head()
    assert log.unhandled(REACTOR, [kind], recorded_before=soon) == []
    assert _handled(log, [first]) == {first}


def test_ciphertext_stands_beside_the_event(log: EventLog) -> None:
    """Personal fields come back as the ciphertext that was given, by event and field."""
    key = personal.new_data_key("contact")
    asked = request((fresh(), 0, 1))
    sealed = personal.seal("x", key, event_id=asked.event_id(0), field="contact", schema=1)
    event = new_event()
    event = type(event)(
        type=event.type, schema=1, data=canonical_json({"contact": sealed.stub()}),
        meta=event.meta, occurred_at_us=1, personal={"contact": sealed},
    )  # fmt: skip
    stream = asked.appends[0].stream
    append = StreamAppend(stream=stream, expected_version=0, events=(event,))
    log.append(
        AppendRequest(
            source=asked.source,
            key=asked.key,
            digest=asked.digest,
            cause_ms=asked.cause_ms,
            appends=(append,),
        )
    )
    assert log.read_personal(asked.event_id(0)) == {"contact": sealed}


def test_subscription_follows_appends(log: EventLog) -> None:
    """A subscriber sees what was there and what comes, in order, without polling the caller."""
    after = log.head()
    log.append(request((fresh(), 0, 1)))
    seen = []
    writer = threading.Timer(0.3, lambda: log.append(request((fresh(), 0, 2))))
    writer.start()
    for event in log.subscribe(after, stop_after_idle_s=5):
        seen.append(event.position)
        if len(seen) == 3:
            break
    writer.join()
    assert seen == [after + 1, after + 2, after + 3]


def _handled(log: EventLog, positions: list[int]) -> set[int]:
    found = log.read_with_marks(REACTOR, positions)
    assert [event for event, _ in found] == log.read_positions(positions)
    return {event.position for event, handled in found if handled}
