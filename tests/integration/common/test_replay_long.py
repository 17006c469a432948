# SPDX-License-Identifier: Apache-2.0
"""A million events, five ways, one digest; and what each way takes in time and memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
import pytest

from infra.cli_upkeep import projections
from infra.replaying.sources import Columns, From, source_of
from infra.replaying.vectors import VectorProjection, fold_columns
from services.auditing.application.moments import Moment
from services.common.audit.export import export
from services.common.messaging.building import EVENTS_PER_SEGMENT, Part, folded
from services.common.messaging.projector import Projection, digest_of
from services.common.messaging.rebuild import Rebuild
from tests.support.database import LOG_ID, Database
from tests.support.generated import fill_generated
from tests.support.sealed_log import seal

EVENTS = int(os.environ.get("MOTCUA_REPLAY_EVENTS", "1000000"))
MEMORY_MAX_MB = 300
ALL = projections()
WAYS = {
    "copy": ("--from", "copy", "--jobs", "2"), "paged": ("--from", "paged", "--jobs", "1"),
    "bundle": ("--from", "bundle", "--jobs", "1"), "parquet": ("--from", "parquet", "--jobs", "1"),
    "sql": ("--from", "parquet", "--sql", "--jobs", "2"),
}  # fmt: skip
WATCH = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
    " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
pytestmark = [pytest.mark.long, pytest.mark.timeout(5_400)]


@dataclass(frozen=True)
class Sealed:
    """A log, its export and the digests of its live read models."""

    events: int
    bundle: Path
    digests: dict[str, str]


@pytest.fixture(scope="module")
def sealed(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """Fill, seal, export and build the read models in bulk."""
    with timed("generate"):
        made = fill_generated(database, EVENTS, seed=7)
    with timed("seal"):
        seal(database)
    folder = tmp_path_factory.mktemp("long") / "bundle"
    with timed("export with Parquet"):
        export(database.url_for("motcua_audit"), LOG_ID, folder, columns=True)
    digests = {}
    for name, projection in ALL.items():
        url = url_of(database, projection)
        with timed(f"rebuild {name}"):
            Rebuild(projection, url, LOG_ID).run()
        with psycopg.connect(url, autocommit=True) as connection:
            digests[name] = digest_of(connection, projection)
    return Sealed(made.events, folder, digests)


@pytest.mark.parametrize("way", WAYS)
def test_one_digest(database: Database, sealed: Sealed, way: str) -> None:
    """Every way makes the rows of the live tables, in bounded memory."""
    done = [json.loads(line) for line in replayed(database, sealed.bundle, WAYS[way])]
    assert {one["projection"]: one["digest"] for one in done} == sealed.digests
    assert {one["position"] for one in done} == {sealed.events}


def test_how_fast_folds_are(database: Database, sealed: Sealed) -> None:
    """Folds to rows alone, without digests: page by page, by COPY, from columns, by SQL."""
    url = database.url_for("motcua_audit")
    for name, projection in sorted(ALL.items()):
        took = {
            str(how): timed_s(partial(rows_of, projection, url, how, sealed))
            for how in (From.PAGED, From.COPY, From.PARQUET)
        }
        if isinstance(projection, VectorProjection):
            columns = Columns.under(sealed.bundle)
            took["sql"] = min(timed_s(partial(by_sql, projection, columns)) for _ in range(3))
        for how, seconds in took.items():
            rate, ratio = sealed.events / seconds, took[From.PAGED] / seconds
            say(f"fold {name:18} {how:8} {seconds:8.2f} s {rate:12,.0f} events/s {ratio:7.1f} x")


def replayed(database: Database, bundle: Path, words: tuple[str, ...]) -> Iterator[str]:
    """Run the command line and yield its lines; its peak memory is said and bounded."""
    environ = {
        **os.environ, "MOTCUA_DATABASE_URL": database.url_for("motcua_audit"),
        "MOTCUA_LOG_ID": str(LOG_ID),
    }  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", "infra.motcua", "replay", *words,
               "--path", str(bundle), "--format", "json"]  # fmt: skip
    # A child's peak begins with what its parent has, so its parent is a small one.
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *command],
        check=True, stdout=subprocess.PIPE, text=True, env=environ, timeout=3_600,
    )  # fmt: skip
    *lines, peak_kb = done.stdout.splitlines()
    for line in lines:
        one = json.loads(line)
        say(f"replay {one['projection']:18} {' '.join(words):36} {one['fold']:4}"
            f" {one['seconds']:8} s {one['events/s']:>10,} events/s")  # fmt: skip
    peak_mb = int(peak_kb) / 1024
    say(f"replay {' '.join(words)}: peak of any of its processes {peak_mb:.0f} MB")
    assert peak_mb <= MEMORY_MAX_MB
    yield from lines


def rows_of(projection: Projection, url: str, how: From, sealed: Sealed) -> None:
    """Fold the whole log in this process."""
    source = source_of(how, url, LOG_ID, sealed.bundle)
    for _ in folded(Part(projection, source, sealed.events, None)):  # type: ignore[arg-type]
        pass


def by_sql(projection: VectorProjection, columns: Columns) -> None:
    """Fold the whole log by SQL and fetch every row."""
    with tempfile.TemporaryDirectory() as folder:
        for _, _, rows in fold_columns(
            projection,
            columns.files,
            Moment(),
            jobs=2,
            each=EVENTS_PER_SEGMENT,
            folder=Path(folder),
        ):
            for _ in rows:
                pass


def url_of(database: Database, projection: Projection) -> str:
    """Return the login that owns a read model."""
    return database.url_for(f"motcua_{projection.name.partition('.')[0]}")


def timed_s(act: Callable[[], None]) -> float:
    """Return how long ``act`` takes."""
    began_s = time.perf_counter()
    act()
    return time.perf_counter() - began_s


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long something takes."""
    began_s = time.perf_counter()
    yield
    seconds = time.perf_counter() - began_s
    say(f"{what:32} {seconds:8.1f} s {EVENTS / seconds:12,.0f} events/s")


def say(text: str) -> None:
    """Print past pytest's capture."""
    print(text, file=sys.__stdout__, flush=True)
