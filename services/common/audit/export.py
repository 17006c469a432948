# SPDX-License-Identifier: Apache-2.0
"""Export a sealed log as a bundle that needs nobody's server to be read and verified.

Reads as ``motcua_audit`` up to the newest checkpoint. No personal data are in a bundle: events have
stubs, ciphertexts stay where they are.
"""

from pathlib import Path

import psycopg

from services.common.audit.bundling import Exported, Progress, Source, write_bundle
from services.common.errors import Refused, Unavailable
from services.common.eventlog.bulk import BulkReader


def export(
    url: str, log_id: int, folder: Path, *, columns: bool = False, archive: Path | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Exported:  # fmt: skip
    """Write the log up to its newest checkpoint.

    Args:
        url: login that reads the log.
        log_id: which log.
        folder: is made; must not exist.
        columns: write the events as Parquet too; needs ``pyarrow``.
        archive: folder of the archive, for what has left the database.
        progress: told now and then.

    Raises:
        Refused: ``folder_exists``, ``not_sealed``, ``no_pyarrow``.
        EventsArchived: events have left, and the archive's file is needed.
        Unavailable: the database is down; nothing is left behind under the folder's name.
    """
    if folder.exists():
        raise Refused("folder_exists", f"{folder} exists", f"{folder} đã có", field="folder")
    reader = BulkReader(url, log_id, archive=archive)
    source = Source(log_id=log_id, notes=_notes(url, log_id), read=reader.read)
    return write_bundle(source, folder, columns=columns, progress=progress)


def _notes(url: str, log_id: int) -> list[tuple[int, str]]:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            rows = connection.execute(
                "SELECT c.size, c.note, coalesce(string_agg(s.line || E'\\n', ''"
                " ORDER BY s.witness), '') FROM (SELECT log_id, size, note, 0 AS epoch"
                " FROM eventlog.checkpoint UNION ALL SELECT log_id, base, note, epoch"
                " FROM eventlog.epoch) AS c"
                " LEFT JOIN eventlog.cosignature AS s"
                " ON (s.log_id, s.size, c.epoch) = (c.log_id, c.size, 0)"
                " WHERE c.log_id = %s GROUP BY c.size, c.epoch, c.note ORDER BY c.size, c.epoch",
                (log_id,),
            ).fetchall()
    except psycopg.Error as error:
        raise Unavailable("postgresql", type(error).__name__) from error
    if not rows:
        raise Refused("not_sealed", "nothing is sealed yet", "chưa có điểm niêm phong nào")
    return [(int(size), f"{note}{lines}") for size, note, lines in rows]
