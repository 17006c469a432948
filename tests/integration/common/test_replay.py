# SPDX-License-Identifier: Apache-2.0
"""Read models replayed from the log are the live ones, however the log is read."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from infra.cli_replay import replay_command
from infra.cli_upkeep import projections
from infra.generating.loading import Generated
from infra.replaying.running import Work, compare, replay
from infra.replaying.sources import From, source_of
from services.auditing.application.moments import Moment
from services.common.audit.export import export
from services.common.clock import SystemClock
from services.common.errors import Refused
from services.common.messaging.projector import Projection, Projector, digest_of
from tests.support.database import LOG_ID, Database
from tests.support.generated import fill_generated
from tests.support.sealed_log import motcua, seal

EVENTS = 5_000
ALL = projections()
NAMES = sorted(ALL)


def url_of(database: Database, projection: Projection) -> str:
    """Return the login that owns a read model."""
    return database.url_for(f"motcua_{projection.name.partition('.')[0]}")


@pytest.fixture(scope="module")
def made(database: Database) -> Generated:
    """Fill the log and seal it."""
    made = fill_generated(database, EVENTS, seed=5)
    seal(database)
    return made


@pytest.fixture(scope="module")
def live(database: Database, made: Generated) -> dict[str, str]:
    """Let every projector fold the log; return the digests of the tables."""
    digests = {}
    for name, projection in ALL.items():
        url = url_of(database, projection)
        with (
            closing(database.log()) as log, psycopg.connect(url, autocommit=True) as connection
        ):  # fmt: skip
            projector = Projector(projection, log, SystemClock(), database_url=url)
            assert projector.catch_up(connection) == made.events
            digests[name] = digest_of(connection, projection)
    return digests


@pytest.fixture(scope="module")
def bundle(database: Database, made: Generated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the log with its Parquet copy."""
    folder = tmp_path_factory.mktemp("replay") / "bundle"
    done = export(database.url_for("motcua_audit"), LOG_ID, folder, columns=True)
    assert done.size == made.events
    return folder


@pytest.mark.parametrize("how", list(From))
def test_every_way_makes_the_same_rows(
    database: Database, live: dict[str, str], bundle: Path, how: From
) -> None:
    """The digest of every read model is that of the live tables, in parts and as a whole."""
    source = source_of(how, database.url_for("motcua_audit"), LOG_ID, bundle)
    for name, projection in ALL.items():
        done = replay(projection, source, Moment(), Work())
        assert (done.digest, done.projection) == (live[name], name)
        assert done.rows


def test_sql_over_columns_makes_the_same_rows(live: dict[str, str], bundle: Path) -> None:
    """Where a fold permits it, a query yields the rows of the live tables; custody does not."""
    source = source_of(From.PARQUET, "", 0, bundle)
    for name in ("intake.dossiers", "kiosk_sync.fleet", "notify.messages"):
        done = replay(ALL[name], source, Moment(), Work(by_sql=True))
        assert (done.digest, done.by_sql) == (live[name], True), name
    with pytest.raises(Refused) as refused:
        replay(ALL["intake.custody"], source, Moment(), Work(by_sql=True))
    assert refused.value.code == "no_fold_by_sql"


def test_processes_share_the_work(database: Database, live: dict[str, str]) -> None:
    """Two processes, a part each, make the same rows."""
    source = source_of(From.COPY, database.url_for("motcua_audit"), LOG_ID, None)
    name = "intake.dossiers"
    assert replay(ALL[name], source, Moment(), Work(jobs=2)).digest == live[name]


def test_rows_that_do_not_fit_memory_go_through_files(
    database: Database, live: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small runs give the same digest."""
    monkeypatch.setattr("infra.replaying.digests.LINES_PER_RUN", 100)
    source = source_of(From.COPY, database.url_for("motcua_audit"), LOG_ID, None)
    name = "notify.messages"
    done = replay(ALL[name], source, Moment(), Work(each=1_000))
    assert done.digest == live[name]


def test_the_past_is_the_same_by_position_and_time(database: Database, made: Generated) -> None:
    """Up to a position is up to the time at which it was recorded; another one is another past."""
    source = source_of(From.COPY, database.url_for("motcua_audit"), LOG_ID, None)
    half = made.events // 2
    with psycopg.connect(database.owner_url) as owner:
        ((recorded_us,),) = owner.execute(
            "SELECT recorded_at FROM eventlog.event WHERE pos = %s", (half,)
        ).fetchall()
        ((last,),) = owner.execute(
            "SELECT max(pos) FROM eventlog.event WHERE recorded_at <= %s", (recorded_us,)
        ).fetchall()
    projection = ALL["intake.dossiers"]

    def past(moment: Moment) -> str:
        return replay(projection, source, moment, Work()).digest

    assert past(Moment(position=last)) == past(Moment(until_us=recorded_us)) != past(Moment())


def test_a_changed_row_is_found(database: Database, live: dict[str, str]) -> None:
    """A comparison names the row, by exit code too; nothing of it remains in the tables."""
    name = "intake.dossiers"
    url = url_of(database, ALL[name])
    source = source_of(From.COPY, url, LOG_ID, None)
    good = compare(ALL[name], source, url, Work())
    assert (good.digest, good.compared, good.difference) == (live[name], True, None)
    change = "UPDATE intake.dossier SET disputed = disputed + %s WHERE dossier = %s"
    with psycopg.connect(url, autocommit=True) as owner:
        ((dossier,),) = owner.execute("SELECT max(dossier::text) FROM intake.dossier").fetchall()
        owner.execute(change, (1, dossier))
        environ = {"MOTCUA_DATABASE_URL": url}
        bad = motcua(database, "replay", name, "--compare", "--jobs", "1", environ=environ)
        owner.execute(change, (-1, dossier))
    assert bad.returncode == 1
    assert bad.stdout.count(dossier) == 2, bad.stdout
    assert "DIFFERENT" in bad.stdout


def test_what_cannot_be_compared_is_refused(database: Database, made: Generated) -> None:
    """Another service's tables, and a moment of the past, are no comparison."""
    source = source_of(From.COPY, database.url_for("motcua_audit"), LOG_ID, None)
    with pytest.raises(Refused) as refused:
        compare(ALL["intake.dossiers"], source, database.url_for("motcua_notify"), Work())
    assert refused.value.code == "wrong_login"
    with pytest.raises(Refused) as refused:
        replay_command(with_live=True, to=str(made.events))
    assert refused.value.code == "compare_is_now"


def test_a_bundle_needs_no_database(bundle: Path, live: dict[str, str]) -> None:
    """Offline, with neither address nor log number, the digests are the same."""
    bare = {"MOTCUA_DATABASE_URL": "", "MOTCUA_LOG_ID": ""}
    database = Database("postgresql://nobody@127.0.0.1:1/none", "none")
    words = ("--from", "parquet", "--path", str(bundle), "--jobs", "1", "--format", "csv")
    done = motcua(database, "replay", *words, environ=bare)
    assert done.returncode == 0, done.stderr
    assert all(digest in done.stdout for digest in live.values())
