# SPDX-License-Identifier: Apache-2.0
"""The drill: a backup is restored beside everything, verified, replayed and compared with its note.

What was never restored is no backup. A drill touches nothing but the scratch server: databases are
made and dropped again, and logins that had to be made for them.
"""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from infra.audit_books import Line
from infra.backups import Backup, digest_of_dump, read_backup, restore
from services.common.audit.verify import verify_log
from services.common.clock import SystemClock
from services.common.errors import Refused, Unavailable
from services.common.eventlog.postgres import PostgresLog
from services.common.integrity.bundle import on_terminal
from services.common.integrity.notes import VerifierKey
from services.common.messaging.projector import Projection, Projector, digest_of
from services.common.messaging.rebuild import Rebuild

_UTC = "-c TimeZone=UTC -c statement_timeout=0"
_NAMED_BY_ERASURES = (
    "SELECT jsonb_array_elements_text(convert_from(data, 'UTF8')::jsonb -> 'keys')"
    " FROM eventlog.event WHERE type = 'subject.erased'"
)


@dataclass(slots=True)
class Drilled:
    """What came of a drill.

    Attributes:
        lines: what the note says (``ours``) and what was found (``theirs``).
        took_s: by step, seconds.
        erase_again: keys in the restored key database that an erasure in the log names.
    """

    lines: list[Line] = field(default_factory=list)
    took_s: dict[str, float] = field(default_factory=dict)
    erase_again: int = 0

    @property
    def good(self) -> bool:
        """Say whether everything came back."""
        return all(line.agrees for line in self.lines)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure one step."""
        began_s = time.monotonic()
        yield
        self.took_s[name] = time.monotonic() - began_s


def drill(
    note: Path, server_url: str, keys: Sequence[VerifierKey],
    projections: Mapping[str, Projection], *, keys_note: Path | None = None,
    archive: Path | None = None,
) -> Drilled:  # fmt: skip
    """Restore, verify, replay, compare, and drop what was made.

    Args:
        note: of a backup of the log.
        server_url: administrator's login to the scratch server.
        keys: trusted keys of the sealer.
        projections: read models to replay, by name.
        keys_note: of a backup of the keys, to be restored beside it.
        archive: folder of the archive, for what has left the database.

    Raises:
        Refused: ``not_a_log``, or the backup cannot be restored; EventsArchived: a file of the
            archive is needed.
        Malformed: no note of a backup.
        Unavailable: the scratch server is down.
        OSError: dump or note cannot be read.
    """
    noted, done = read_backup(note), Drilled()
    if noted.kind != "log":
        raise Refused(
            "not_a_log", f"{note.name} is no backup of a log", "không phải bản sao nhật ký"
        )
    with done.step("read"):
        done.lines.append(Line("SHA-256 of the dump", noted.sha256, digest_of_dump(note, noted)))
    if not done.good:
        return done  # what was damaged is not restored
    with _restored(done, note, noted, server_url) as url:
        with done.step("verify"):
            _verify(done, url, noted, keys, archive)
        with done.step("replay"):
            _replay(done, url, noted, projections, archive)
        if keys_note is not None:
            _keys(done, url, keys_note, server_url)
    return done


@contextmanager
def _restored(done: Drilled, note: Path, noted: Backup, server_url: str) -> Iterator[str]:
    name = f"motcua_drill_{uuid.uuid4().hex[:12]}"
    with done.step(f"restore {noted.kind}"):
        made = restore(note, noted, server_url, name)
    try:
        yield make_conninfo(server_url, dbname=name)
    finally:
        with psycopg.connect(server_url, autocommit=True, connect_timeout=10) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            for role in made:
                server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def _verify(
    done: Drilled, url: str, noted: Backup, keys: Sequence[VerifierKey], archive: Path | None
) -> None:
    known = [noted.checkpoint] if noted.checkpoint else []
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            report = verify_log(
                connection, noted.log_id, keys, known=known, archive=archive,
                progress=on_terminal(),
            )  # fmt: skip
            newest = connection.execute(
                "SELECT note FROM eventlog.checkpoint WHERE log_id = %s ORDER BY size DESC LIMIT 1",
                (noted.log_id,),
            ).fetchone() or ("",)
    except psycopg.Error as error:
        raise Unavailable("postgresql", str(error)) from error
    done.lines += [
        Line("events", noted.head, report.events),
        Line("events under a checkpoint", noted.sealed, report.sealed),
        Line("newest checkpoint", noted.checkpoint, newest[0]),
        Line("what a full verification finds", [], [str(one) for one in report.findings]),
    ]


def _replay(
    done: Drilled, url: str, noted: Backup, projections: Mapping[str, Projection],
    archive: Path | None,
) -> None:  # fmt: skip
    for name, projection in projections.items():
        model = noted.read_models.get(name)
        try:
            with (
                closing(PostgresLog(url, noted.log_id)) as log,
                psycopg.connect(
                    url, autocommit=True, connect_timeout=10, options=_UTC
                ) as connection,
            ):
                if model is not None and model.version == projection.version:
                    restored = digest_of(connection, projection)
                    done.lines.append(Line(f"read model {name}", model.digest, restored))
                projector = Projector(projection, log, SystemClock(), database_url=url)
                projector.catch_up(connection)
                kept = digest_of(connection, projection)
                Rebuild(
                    projection, url, noted.log_id, archive=archive, progress=on_terminal()
                ).run()
                done.lines.append(Line(f"{name} replayed", kept, digest_of(connection, projection)))
        except psycopg.Error as error:
            raise Unavailable("postgresql", str(error)) from error


def _keys(done: Drilled, log_url: str, note: Path, server_url: str) -> None:
    noted = read_backup(note)
    found = digest_of_dump(note, noted)
    done.lines.append(Line("SHA-256 of the keys' dump", noted.sha256, found))
    with (
        _restored(done, note, noted, server_url) as url,
        psycopg.connect(url, connect_timeout=10) as keys,
        psycopg.connect(log_url, connect_timeout=10) as log,
    ):
        rows = keys.execute("SELECT key_id::text FROM keys.subject_key").fetchall()
        held = {str(row[0]) for row in rows}
        named = {str(row[0]) for row in log.execute(_NAMED_BY_ERASURES)}
    done.lines.append(Line("wrapped keys", noted.keys, len(held)))
    done.erase_again = len(held & named)
