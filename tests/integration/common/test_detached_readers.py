# SPDX-License-Identifier: Apache-2.0
"""Whole-log readers over a log that dossiers have left: the same with the archive, nothing without."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from infra.cli_upkeep import projections
from infra.motcua import app
from infra.replaying.running import Work, replay
from infra.replaying.sources import From, source_of
from services.auditing.application.moments import Moment
from services.common.audit.export import export
from services.common.clock import SystemClock
from services.common.errors import EventsArchived
from services.common.eventlog.bulk import BulkReader, Selection
from services.common.integrity.bundle import read_manifest, verify_bundle
from services.common.messaging.projector import Projection, Projector, digest_of
from services.common.messaging.rebuild import Rebuild
from tests.support.archived_log import detach, fill_archived, found_by_verify
from tests.support.database import LOG_ID, Database, copy_of, fresh_database
from tests.support.sealed_log import KEYS

ALL = projections()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def whole(server_url: str, folder: Path) -> Iterator[Database]:
    """A log that is archived, with read models; nothing has left it."""
    with fresh_database(server_url) as database:
        fill_archived(database, folder, 2_000, 800)
        for name, projection in ALL.items():
            project(database, projection)
            assert digest(database, name)
        yield database


@pytest.fixture(scope="module")
def thinned(whole: Database, folder: Path) -> Iterator[Database]:
    """A copy that everything left that is over."""
    with copy_of(whole) as database:
        assert detach(database, folder).dossiers > 20
        yield database


def url_of(database: Database, projection: Projection) -> str:
    return database.url_for(f"motcua_{projection.name.partition('.')[0]}")


def project(database: Database, projection: Projection) -> int:
    url = url_of(database, projection)
    with closing(database.log()) as log, psycopg.connect(url, autocommit=True) as connection:
        return Projector(projection, log, SystemClock(), database_url=url).catch_up(connection)


def digest(database: Database, name: str) -> str:
    with psycopg.connect(url_of(database, ALL[name]), autocommit=True) as connection:
        return digest_of(connection, ALL[name])


def bulk(database: Database, archive: Path | None = None) -> BulkReader:
    return BulkReader(database.url_for("motcua_audit"), LOG_ID, archive=archive)


def dossier_of_each_kind(database: Database) -> dict[bool, str]:
    """Return a dossier that left (True) and one that is there (False)."""
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute(
            "SELECT away, min(substr(stream, 9)) FROM eventlog.stream_head AS h WHERE stream LIKE"
            " 'dossier-%' AND EXISTS (SELECT FROM eventlog.event AS e WHERE e.subject ="
            " substr(h.stream, 9) AND pos <= 800) GROUP BY away"
        ).fetchall()
    return dict(rows)


def test_replays_are_the_same(whole: Database, thinned: Database, folder: Path) -> None:
    """Every read model's digest, in one process and in two, is that of the tables that serve."""
    source = source_of(From.COPY, thinned.url_for("motcua_audit"), LOG_ID, None, archive=folder)
    for name, projection in ALL.items():
        assert replay(projection, source, Moment(), Work()).digest == digest(whole, name)
    name = "intake.dossiers"
    assert replay(ALL[name], source, Moment(), Work(jobs=2)).digest == digest(thinned, name)
    for how in (From.COPY, From.PAGED):
        bare = source_of(how, thinned.url_for("motcua_audit"), LOG_ID, None)
        with pytest.raises(EventsArchived, match="positions 1–800 "):
            replay(ALL[name], bare, Moment(), Work())


def test_every_selection_is_the_same(whole: Database, thinned: Database, folder: Path) -> None:
    """Event for event; what never leaves needs no archive, what left is refused without it."""
    dossier = dossier_of_each_kind(thinned)
    for selection in (
        Selection(), Selection(after=250), Selection(after=799, through=801), Selection(through=9),
        Selection(types=["dossier.registered", "payment.settled"]),
        Selection(stream=f"dossier-{dossier[True]}"), Selection(subject=dossier[True]),
    ):  # fmt: skip
        expected = list(bulk(whole).read(selection))
        assert expected
        assert list(bulk(thinned, folder).read(selection)) == expected
        if selection.through != 9:
            with pytest.raises(EventsArchived, match=r"positions \d+–\d+ \(93-"):
                next(bulk(thinned).read(selection))
    for selection in (
        Selection(types=["office.opened", "payment.settled", "kiosk.dossier_deposited"]),
        Selection(stream=f"dossier-{dossier[False]}"), Selection(subject=dossier[False]),
        Selection(after=2_400),
    ):  # fmt: skip
        assert list(bulk(thinned).read(selection)) == list(bulk(whole).read(selection))


def test_files_are_checked_before_anything_is_read(
    thinned: Database, folder: Path, tmp_path: Path
) -> None:
    """Missing, or one byte of it another: nothing is yielded, and the file is named."""
    first, *others = sorted(folder.iterdir())
    for path in others:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(EventsArchived, match=rf"{first.name}\): No such file"):
        next(bulk(thinned, tmp_path).read())
    (tmp_path / first.name).write_bytes(first.read_bytes()[:-1] + b"x")
    with pytest.raises(EventsArchived, match=rf"{first.name}\): it is not the file"):
        next(bulk(thinned, tmp_path).read())


def test_exports_are_the_same(
    whole: Database, thinned: Database, folder: Path, tmp_path: Path
) -> None:
    """The same bundle, byte for byte; it verifies against a checkpoint from before."""
    names = {"before": (whole, None), "after": (thinned, folder)}
    for name, (database, archive) in names.items():
        export(database.url_for("motcua_audit"), LOG_ID, tmp_path / name, archive=archive)
    assert read_manifest(tmp_path / "before") == read_manifest(tmp_path / "after")
    with psycopg.connect(whole.owner_url) as connection:
        known = [row[0] for row in connection.execute("SELECT note FROM eventlog.checkpoint")]
    assert verify_bundle(tmp_path / "after", KEYS, known=known).good
    with pytest.raises(EventsArchived):
        export(thinned.url_for("motcua_audit"), LOG_ID, tmp_path / "without")
    assert not (tmp_path / "without").exists()


def test_verify_needs_the_archive(thinned: Database, folder: Path, tmp_path: Path) -> None:
    """Green with it; without it or without one of its files it says which one it needs."""
    assert not found_by_verify(thinned, folder)
    for missing in (None, tmp_path):
        with pytest.raises(EventsArchived, match="positions 1–800 "):
            found_by_verify(thinned, missing)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM eventlog.event WHERE stream = '{there}'", "nothing says that it left"),
        ("UPDATE eventlog.event SET subject = 'x' WHERE stream = '{there}'", "is not what stands"),
        ("UPDATE eventlog.stream_head SET away = true WHERE stream = '{there}'", "is said to"),
        (
            "UPDATE eventlog.stream_head SET away = false WHERE stream = '{gone}'",
            "its head does not say so",
        ),
        ("UPDATE eventlog.detached SET leaf_hash = sha256('x')", "is not the one that was kept"),
    ],
)
def test_verify_finds_what_is_wrong_beside_the_archive(
    thinned: Database, folder: Path, statement: str, finding: str
) -> None:
    """Rows that vanished without leaving, and heads that say what is not so."""
    dossier = dossier_of_each_kind(thinned)
    with copy_of(thinned) as database:
        with psycopg.connect(database.owner_url) as owner:
            owner.execute("SET session_replication_role = replica")
            there, gone = f"dossier-{dossier[False]}", f"dossier-{dossier[True]}"
            assert owner.execute(statement.format(there=there, gone=gone).encode()).rowcount
        assert any(finding in one for one in found_by_verify(database, folder))


def test_rebuilds_and_projectors(thinned: Database, folder: Path) -> None:
    """A rebuild needs the archive; whoever lacks it leaves the tables that serve as they are."""
    name = "notify.messages"
    projection, before = ALL[name], digest(thinned, name)
    url = url_of(thinned, projection)
    with pytest.raises(EventsArchived):
        Rebuild(projection, url, LOG_ID).run()
    with closing(thinned.log()) as log, psycopg.connect(url, autocommit=True) as connection:
        projector = Projector(projection, log, SystemClock(), database_url=url)
        with pytest.raises(EventsArchived, match=f"what {name} is made of"):
            projector.rebuild(connection)
    assert digest(thinned, name) == before
    assert project(thinned, projection), "the projector goes on"
    assert Rebuild(projection, url, LOG_ID, archive=folder).run().rows
    assert digest(thinned, name) == before


def test_questions_are_answered_from_the_archive(
    whole: Database, thinned: Database, folder: Path
) -> None:
    """``query`` and ``state-at`` say the same as before, or where it is."""
    dossier = dossier_of_each_kind(thinned)[True]

    def said(database: Database, *words: str) -> object:
        done = CliRunner().invoke(app, [*words, "--format", "json"], env={
            "MOTCUA_DATABASE_URL": database.url_for("motcua_audit"), "MOTCUA_LOG_ID": str(LOG_ID),
        })  # fmt: skip
        if isinstance(done.exception, EventsArchived):
            return done.exception.code
        return [json.loads(line) for line in done.output.splitlines()]

    for words in (("query", "--dossier", dossier), ("state-at", dossier)):
        answer = said(whole, *words)
        assert isinstance(answer, list)
        assert len(answer) > 5
        assert said(thinned, *words, "--archive", str(folder)) == answer
        assert said(thinned, *words) == "events_archived"
