# SPDX-License-Identifier: Apache-2.0
"""What leaves the database is over, whole and in the archive; nobody is given less than there is."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from infra.motcua import app
from services.common.audit.patrol import Round
from services.common.audit.sealing import Sealing, SqlTree
from services.common.errors import EventsArchived, MotCuaError, Refused
from services.common.eventlog.migrate import LOGINS
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import Appended, category_of
from services.common.integrity.merkle import frontier_of
from tests.support.archived_log import detach, fill_archived, found_by_verify, relay
from tests.support.database import LOG_ID, Database, copy_of, fresh_database
from tests.support.events import fresh, request
from tests.support.sealed_log import SEALS, seal

EVENTS, WIDTH = 2_000, 800
LEAVING = {"dossier", "notification"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the archive's folder; tests that spoil a file copy it."""
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def original(server_url: str, folder: Path) -> Iterator[Database]:
    """A log that is archived; nothing has left it."""
    with fresh_database(server_url) as database:
        fill_archived(database, folder, EVENTS, WIDTH)
        yield database


@pytest.fixture
def database(original: Database) -> Iterator[Database]:
    """A copy of it."""
    with copy_of(original) as database:
        yield database


@pytest.fixture(scope="module")
def thinned(original: Database, folder: Path) -> Iterator[Database]:
    """A copy that everything left that is over; tests only read it or append."""
    with copy_of(original) as database:
        assert detach(database, folder).dossiers > 20
        yield database


@pytest.fixture
def log(thinned: Database) -> Iterator[PostgresLog]:
    with closing(thinned.log()) as log:
        yield log


def ask(database: Database, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.owner_url) as connection:
        return connection.execute(query.encode()).fetchall()


def state(database: Database) -> list[tuple[object, ...]]:
    """Return a digest of all that a detachment touches."""
    return ask(
        database,
        "SELECT (SELECT md5(string_agg(e.pos || encode(leaf_hash, 'hex') || stream, ',' ORDER BY"
        " pos)) FROM eventlog.event AS e), (SELECT md5(string_agg(stream || version || away, ','"
        " ORDER BY stream)) FROM eventlog.stream_head), (SELECT count(*) FROM eventlog.detached),"
        " (SELECT count(*) FROM eventlog.detached_stream), (SELECT count(*) FROM"
        " eventlog.detached_type)",
    )


def one_that_left(database: Database) -> tuple[str, str]:
    """Return a dossier and the files that have its own stream."""
    ((subject, files),) = ask(
        database,
        "SELECT d.subject, (SELECT string_agg('positions ' || r.first || '–' || r.last || ' (' ||"
        " r.file || ')', '; ' ORDER BY r.first) FROM eventlog.archived_range AS r WHERE r.last >="
        " d.first AND r.first <= d.last) FROM eventlog.detached_stream AS d"
        " WHERE d.stream LIKE 'dossier-%' ORDER BY d.first LIMIT 1",
    )
    return str(subject), str(files)


def left_of(database: Database) -> str:
    """Return the streams that left, as a list for SQL."""
    return ", ".join(f"'{row[0]}'" for row in ask(
        database, "SELECT stream FROM eventlog.stream_head WHERE away"))  # fmt: skip


def one_that_is_open(database: Database) -> tuple[str, int]:
    """Return a dossier's stream that stands in the table, in archived ranges, and its version."""
    ((stream, version),) = ask(
        database,
        "SELECT h.stream, h.version FROM eventlog.stream_head AS h JOIN eventlog.event AS e"
        " USING (log_id, stream) WHERE NOT h.away AND e.type = 'dossier.registered'"
        f" AND e.pos <= {WIDTH} ORDER BY e.pos LIMIT 1",
    )
    return str(stream), int(str(version))


def test_what_is_over_leaves_whole(original: Database, thinned: Database) -> None:
    """Closed dossiers and their messages; every other stream is there from its first event on."""
    before = dict(ask(original, "SELECT stream, count(*) FROM eventlog.event GROUP BY 1"))
    after = dict(ask(thinned, "SELECT stream, count(*) FROM eventlog.event GROUP BY 1"))
    gone = before.keys() - after.keys()
    assert {category_of(str(one)) for one in gone} == LEAVING
    assert all(before[one] == count for one, count in after.items())
    ((rows, heads, kept),) = ask(
        thinned, "SELECT count(*), count(*) FILTER (WHERE away), (SELECT count(*) FROM"
        " eventlog.append_key) FROM eventlog.stream_head",
    )  # fmt: skip
    assert (rows, heads) == (len(before), len(gone))
    assert kept == ask(original, "SELECT count(*) FROM eventlog.append_key")[0][0]
    assert sum(before.values()) - sum(after.values()) > EVENTS // 4  # type: ignore[arg-type]
    # Nobody whose money, papers or personal data are still somebody's business.
    assert not ask(
        thinned, "SELECT FROM eventlog.detached_stream AS d JOIN eventlog.event AS e ON e.subject ="
        " d.subject JOIN eventlog.event_pii AS p USING (event_id)",
    )  # fmt: skip


@pytest.mark.parametrize(
    "read",
    [
        lambda log, dossier: log.read_stream(f"dossier-{dossier}"),
        lambda log, dossier: log.read_stream(f"dossier-{dossier}", after_version=2, limit=1),
        lambda log, dossier: log.read_streams([fresh(), f"dossier-{dossier}"]),
        lambda log, dossier: log.read_subject(dossier),
        lambda log, _: log.read_all(0),
        lambda log, _: log.read_all(0, types=["dossier.registered"]),
        lambda log, _: log.read_all(10, types=["dossier.registered"], through=700),
        lambda log, _: log.read_ids(0, through=700, types=["dossier.registered"], limit=9),
        lambda log, _: next(log.subscribe(0)),
    ],
)
def test_whoever_asks_is_told_where_it_is(
    thinned: Database, log: PostgresLog, read: Callable[[PostgresLog, str], object]
) -> None:
    """An error with positions and file, never an empty answer and never a part."""
    dossier, _ = one_that_left(thinned)
    with pytest.raises(EventsArchived) as told:
        read(log, dossier)
    assert told.value.code == "events_archived"
    assert f"positions 1–{WIDTH} (93-000000000001-{WIDTH:012d}.parquet)" in told.value.en
    assert f"vị trí 1–{WIDTH} (" in told.value.vi


def test_who_asks_for_what_never_leaves_notices_nothing(
    original: Database, thinned: Database, log: PostgresLog
) -> None:
    """Offices, machines, money from the beginning on; everything from beyond the archive on."""
    kinds = ["office.opened", "procedure.published", "kiosk.dossier_deposited", "payment.settled"]
    beyond = int(str(ask(thinned, "SELECT max(last) FROM eventlog.detached_type")[0][0]))
    with closing(original.log()) as whole:
        for after, types in ((0, kinds), (beyond, None), (beyond, ["dossier.registered"])):
            expected = whole.read_all(after, types=types, limit=10_000)
            assert log.read_all(after, types=types, limit=10_000) == expected
        page = log.read_all(0, limit=10_000, present_only=True)
        present = {event.position for event in page}
        everything = whole.read_all(0, limit=10_000)
    assert [one for one in everything if one.position in present] == page
    left = [one.position for one in everything if one.position not in present]
    assert not log.read_stream(fresh())
    assert log.read_positions([page[0].position]) == page[:1]
    with pytest.raises(EventsArchived, match=f"position {left[0]} is in the archive only"):
        log.read_positions([page[0].position, left[0], left[1]])


def test_appends_to_what_left_are_refused(thinned: Database, log: PostgresLog) -> None:
    """Range and file are named, nothing is changed, and whoever travels with it is not hindered."""
    dossier, files = one_that_left(thinned)
    stream, before = f"dossier-{dossier}", state(thinned)
    version = log.stream_version(stream)
    for expected in (0, version - 1, version):
        with pytest.raises(EventsArchived) as told:
            log.append(request((stream, expected, 1)))
        assert told.value.ranges == tuple(files.split("; "))
        assert told.value.what == f"stream {stream}"
    assert state(thinned) == before
    other = fresh()
    answers = log.append_all([request((stream, version, 1)), request((other, 0, 2))])
    assert isinstance(answers[0], EventsArchived)
    assert isinstance(answers[1], Appended)
    assert (len(log.read_stream(other)), log.stream_version(stream)) == (2, version)


def test_a_retry_is_answered_as_the_first_time(thinned: Database, log: PostgresLog) -> None:
    """The key of a command whose dossier has left still gives the first answer, and no other."""
    dossier, _ = one_that_left(thinned)
    ((source, key, digest, first, count),) = ask(
        thinned, "SELECT k.source, k.key, k.digest, k.first_pos, k.n FROM eventlog.append_key AS k"
        " JOIN eventlog.detached_stream AS d ON d.first BETWEEN k.first_pos AND k.first_pos + k.n"
        f" - 1 WHERE d.stream = 'dossier-{dossier}'",
    )  # fmt: skip
    answer = log.answer_of(str(source), str(key), bytes(digest))  # type: ignore[call-overload]
    assert answer == Appended(first_position=first, count=count, duplicate=True)  # type: ignore[arg-type]
    repeated = request((f"dossier-{dossier}", 0, int(str(count))), key=str(key), source=str(source))
    object.__setattr__(repeated, "digest", bytes(digest))  # type: ignore[call-overload]
    assert log.append(repeated) == answer
    with pytest.raises(Refused, match="idempotency_key_reused"):
        log.append(request((fresh(), 0, 1), key=str(key), source=str(source)))


def test_an_open_dossier_goes_on(original: Database, thinned: Database, log: PostgresLog) -> None:
    """It stands whole in the thinned range, decides on all of it, and may grow."""
    stream, version = one_that_is_open(thinned)
    with closing(original.log()) as whole:
        assert log.read_stream(stream) == whole.read_stream(stream)
    log.append(request((stream, version, 2)))
    assert [e.version for e in log.read_stream(stream)] == list(range(1, version + 3))


def test_the_tree_goes_on_without_the_archive(database: Database, folder: Path) -> None:
    """The sealer starts and seals, a patrol reads all, any old checkpoint is still found."""
    with psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as sealer:
        roots = [frontier_of(n, SqlTree(sealer, LOG_ID).read).root() for n in range(1, 1_500, 61)]
        detach(database, folder)
        tree = SqlTree(sealer, LOG_ID)
        assert [frontier_of(n, tree.read).root() for n in range(1, 1_500, 61)] == roots
        with closing(database.log()) as log:
            log.append(request((fresh(), 0, 5)))
        assert Sealing(sealer, SEALS).step(1_800_000_000_000_000) is not None
        patrol = Round(sealer, SEALS)
        while patrol.step():
            pass
        assert patrol.frontier.size == patrol.goal > EVENTS


def test_damaged_or_missing_files_stop_it(database: Database, folder: Path, tmp_path: Path) -> None:
    """Nothing leaves unless every file is the one that was archived."""
    first = min(folder.iterdir())
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    raw = bytearray(first.read_bytes())
    raw[len(raw) // 2] ^= 1
    before = state(database)
    for damage in (lambda path: path.write_bytes(raw), Path.unlink):
        damage(tmp_path / first.name)
        with pytest.raises(EventsArchived, match=rf"positions 1–{WIDTH} \({first.name}\): "):
            detach(database, tmp_path)
        assert state(database) == before


def test_what_is_not_archived_stays(original: Database, database: Database, folder: Path) -> None:
    """With one range recorded only streams that lie in it may go; the database looks for itself."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("DELETE FROM eventlog.archived_range WHERE first > 1")
    before = state(database)
    assert detach(database, folder).dossiers == 0  # their erasures are not in the archive
    assert state(database) == before
    ((everybody,),) = ask(database, "SELECT array_agg(DISTINCT subject::text) FROM eventlog.event")
    with psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as sealer:
        for before_us in (0, 2**62):
            sealer.execute("SELECT eventlog.detach(%s, %s, %s)", (LOG_ID, everybody, before_us))
            assert (state(database) == before) == (before_us == 0), "nothing is that old"
    assert ask(database, "SELECT max(pos) FROM eventlog.detached")[0][0] in range(1, WIDTH + 1)
    over = {"refused", "withdrawn", "stopped", "returned"}
    for (kinds,) in ask(
        original, "SELECT array_agg(type) FROM eventlog.event WHERE stream LIKE 'dossier-%' AND"
        f" stream IN ({left_of(database)}) GROUP BY stream",
    ):  # fmt: skip
        assert {str(kind).removeprefix("dossier.") for kind in kinds} & over  # type: ignore[attr-defined]


def test_readers_that_are_behind_come_first(database: Database, folder: Path) -> None:
    """Nothing leaves that a reactor or the relay has still to read."""
    before = state(database)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO eventlog.reactor VALUES (%s, 'intake.push', 3)", (LOG_ID,))
    with pytest.raises(Refused, match=r"reader_behind: intake\.push has not come to position"):
        detach(database, folder)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("DELETE FROM eventlog.reactor")
        owner.execute("UPDATE eventlog.relay SET pos = 3")
    with pytest.raises(Refused, match="reader_behind: relay"):
        detach(database, folder)
    assert state(database) == before
    relay(database, EVENTS * 2)
    assert detach(database, folder).dossiers > 20


def test_broken_off_half_way(database: Database, folder: Path) -> None:
    """The connection dies in the midst of the deed: nothing has happened; the next run does it."""
    before, failed = state(database), list[BaseException]()

    def run() -> None:
        try:
            detach(database, folder)
        except BaseException as error:
            failed.append(error)

    with psycopg.connect(database.owner_url) as holder, psycopg.connect(
        database.owner_url, autocommit=True
    ) as owner:  # fmt: skip
        holder.execute("SELECT FROM eventlog.event WHERE type LIKE 'dossier.%' FOR UPDATE")
        thread = threading.Thread(target=run)
        thread.start()
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename = 'motcua_sealer' AND wait_event_type = 'Lock'"
        )
        deadline = time.monotonic() + 30
        while (row := owner.execute(waiting).fetchone()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert row is not None, "it waits for the row that is held"
        owner.execute("SELECT pg_terminate_backend(%s)", row)
        thread.join(30)
        holder.rollback()
    assert len(failed) == 1
    assert state(database) == before
    assert detach(database, folder).dossiers > 20


def test_nobody_else_takes_rows_out(thinned: Database, folder: Path) -> None:
    """Neither other logins by the functions nor the owner by hand; the record is never touched."""
    before = state(thinned)
    for role in LOGINS:
        if role == "motcua_sealer":
            continue
        env = {"MOTCUA_DATABASE_URL": thinned.url_for(role), "MOTCUA_LOG_ID": str(LOG_ID)}
        with psycopg.connect(thinned.url_for(role), autocommit=True) as connection:
            for statement in (
                f"SELECT eventlog.detach({LOG_ID}, '{{x}}', 0)", "DELETE FROM eventlog.event",
                f"SELECT eventlog.attach({LOG_ID}, 'x'" + ", '{}'" * 11 + ")",
                "UPDATE eventlog.stream_head SET away = false",
            ):  # fmt: skip
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
        done = CliRunner().invoke(app, ["attach", str(folder), one_that_left(thinned)[0]], env=env)
        assert isinstance(done.exception, MotCuaError), role
    with psycopg.connect(thinned.owner_url, autocommit=True) as owner:
        owner.execute("SET eventlog.detaching = 'on'")
        for table in ("event", "detached", "detached_stream", "detached_type"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(f"DELETE FROM eventlog.{table}".encode())
    assert state(thinned) == before


def test_a_dossier_comes_back(original: Database, database: Database, folder: Path) -> None:
    """Read, appended to and verified as before; it leaves again with the next run."""
    whole = detach(database, folder)
    dossier, _ = one_that_left(database)
    stream = f"dossier-{dossier}"
    env = {"MOTCUA_DATABASE_URL": database.url_for("motcua_sealer"), "MOTCUA_LOG_ID": str(LOG_ID)}
    for said in ("events are back", "it has not left"):
        done = CliRunner().invoke(app, ["attach", str(folder), dossier], env=env)
        assert done.exit_code == 0, done.exception
        assert said in done.output
    with closing(database.log()) as log, closing(original.log()) as before:
        assert log.read_subject(dossier) == before.read_subject(dossier)
        assert log.read_stream(stream) == before.read_stream(stream)
        with pytest.raises(EventsArchived):
            log.read_all(0)
        assert not found_by_verify(database, folder)
        again = detach(database, folder)
        assert (again.dossiers, again.events < whole.events) == (1, True)
        with pytest.raises(EventsArchived):
            log.read_stream(stream)
        done = CliRunner().invoke(app, ["attach", str(folder), dossier], env=env)
        assert "events are back" in done.output
        log.append(request((stream, log.stream_version(stream), 1)))
    seal(database)
    assert not found_by_verify(database, folder)
