# SPDX-License-Identifier: Apache-2.0
"""Tables of the machine's file and the settings every connection gets.

``FACTS`` are written once and are the truth; ``FOLDED`` follow from the journal alone and are
compared with a fresh fold at start; ``WORK`` says what is under way with a device or the centre.
"""

from pathlib import Path
from typing import Final

import apsw

APPLICATION_ID: Final = 0x4D433247  # "MC2G"
USER_VERSION: Final = 2

FACTS: Final = """
CREATE TABLE journal (seq INTEGER PRIMARY KEY, record BLOB NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE TABLE parcel (event_id TEXT NOT NULL, field TEXT NOT NULL, seq INTEGER NOT NULL,
  key_id TEXT NOT NULL, blob TEXT NOT NULL, commitment TEXT NOT NULL,
  PRIMARY KEY (event_id, field)) STRICT;
CREATE INDEX parcel_seq ON parcel (seq);
CREATE TABLE order_in (cseq INTEGER PRIMARY KEY, type TEXT NOT NULL, dossier TEXT,
  document BLOB NOT NULL) STRICT;
CREATE INDEX order_dossier ON order_in (dossier, type);
"""
FOLDED: Final = """
CREATE TABLE deposit (dossier TEXT PRIMARY KEY, seq INTEGER NOT NULL, session TEXT NOT NULL,
  procedure TEXT NOT NULL, pouch TEXT NOT NULL UNIQUE, bin INTEGER NOT NULL,
  fee_vnd INTEGER NOT NULL) STRICT;
CREATE TABLE cash_note (seq INTEGER PRIMARY KEY, dossier TEXT NOT NULL,
  denomination_vnd INTEGER NOT NULL, stacked_count INTEGER NOT NULL) STRICT;
CREATE TABLE cash_closed (seq INTEGER PRIMARY KEY, dossier TEXT NOT NULL, notes INTEGER NOT NULL,
  total_vnd INTEGER NOT NULL) STRICT;
CREATE TABLE device_cursor (device TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE cell (cell INTEGER PRIMARY KEY, dossier TEXT NOT NULL, seq INTEGER NOT NULL) STRICT;
CREATE TABLE grant_state (grant_id TEXT PRIMARY KEY, dossier TEXT NOT NULL, cell INTEGER NOT NULL,
  state TEXT NOT NULL, tries_left INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT;
"""
# No release before version 2 journalled what these follow from, so they begin empty.
FOLDED_2: Final = """
CREATE TABLE bin_emptied (seal TEXT PRIMARY KEY, seq INTEGER NOT NULL, bin INTEGER NOT NULL) STRICT;
CREATE TABLE recall (seq INTEGER PRIMARY KEY, dossier TEXT NOT NULL, cell INTEGER NOT NULL,
  staff TEXT NOT NULL) STRICT;
"""
WORK: Final = """
CREATE TABLE lane (name TEXT PRIMARY KEY, number INTEGER NOT NULL, head TEXT NOT NULL) STRICT;
CREATE TABLE boxed_key (key_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, purpose TEXT NOT NULL,
  box TEXT NOT NULL) STRICT;
CREATE TABLE intent (device TEXT PRIMARY KEY, verb TEXT NOT NULL, session TEXT NOT NULL,
  dossier TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
CREATE TABLE odd_pouch (pouch TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE catalogue (code TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
"""
FOLDED_TABLES: Final = (
    "deposit", "cash_note", "cash_closed", "device_cursor", "cell", "grant_state",
    "bin_emptied", "recall",
)  # fmt: skip


class StoreError(Exception):
    """The file is not this program's, is newer than it, or contradicts itself."""


def connect(path: Path, *, vfs: str | None = None, synchronous: str = "FULL") -> apsw.Connection:
    """Open the file, creating it at once and whole; ``vfs`` and ``synchronous`` serve tests.

    Raises:
        StoreError: another program's file, or one of a newer release.
    """
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(5000)
    for setting in (
        "journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON",
        "trusted_schema=OFF", "cell_size_check=ON", "secure_delete=ON",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {setting}")
    version = connection.pragma("user_version")
    if version == 0:
        _make(connection, FACTS + FOLDED + FOLDED_2 + WORK)
    elif version == 1 and connection.pragma("application_id") == APPLICATION_ID:
        _make(connection, FOLDED_2)
    elif version != USER_VERSION or connection.pragma("application_id") != APPLICATION_ID:
        connection.close()
        raise StoreError(f"{path} has version {version}, this release reads {USER_VERSION}")
    return connection


def _make(connection: apsw.Connection, tables: str) -> None:
    with connection:
        connection.execute(tables)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={USER_VERSION}")
