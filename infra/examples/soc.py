# SPDX-License-Identifier: Apache-2.0
"""A feed for a security team (SOC): CEF over syslog, ``python -m infra.examples.soc``.

AMQP_URL, QUEUE, STORE (a file) and SYSLOG (``host:port``, TCP) come from the environment. Each
event of the table below becomes one line of ArcSight's Common Event Format in a syslog message (RFC
5424, octet counting of RFC 6587). A line is stored with its event's id, sent after that, and struck
out once the connection took it. After a crash of this program a line may come twice, with the same
``externalId``. Syslog has no answers: what a log server had not read when it died is gone.
"""

import os
import select
import socket
import sqlite3
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from infra.examples.inbox import Event, Inbox, kind_of

TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS line (place INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL)"
)
SEND_TIMEOUT_S: Final = 10
PRIORITY: Final = 13 * 8 + 5  # log audit, notice
WATCHED: Final[Mapping[str, tuple[int, str]]] = {
    "config.machine_quarantined": (10, "Two histories under one machine"),
    "payment.bank_callback_conflict": (8, "Bank reference with other content"),
    "kiosk.cash_discrepancy": (8, "Validator counts notes nobody knows of"),
    "kiosk.cash_note_unplaced": (6, "Note came in outside a payment session"),
    "office.custody_case_opened": (7, "Whereabouts unknown"),
    "kiosk.custody_unknown": (7, "Machine lost sight of a pouch or result"),
    "dossier.return_reversed": (7, "Result went to the wrong person"),
    "config.machine_revoked": (6, "Machine revoked"),
    "config.machine_enrolled": (5, "Machine enrolled"),
    "kiosk.release_refused": (4, "Collection refused"),
    "subject.erased": (4, "Personal data erased"),
    "access.personal_read": (3, "Personal data read"),
}
"""Severity (0 to 10) and name by event type."""
SHOWN: Final = ("machine", "serial", "official", "reader", "by", "reason", "purpose", "owner")
"""Fields that go along where an event has them; free text of people does not, only these."""


def cef(event: Event) -> str | None:
    """Return the CEF line of ``event``; None when nobody watches its type."""
    kind = kind_of(event)
    if kind not in WATCHED:
        return None
    severity, name = WATCHED[kind]
    millis = int(datetime.fromisoformat(event["time"]).timestamp() * 1000)
    told = {
        "rt": millis,
        "externalId": event["id"],
        "cn1": int(event["sequence"]),
        "cn1Label": "position",
        **({"cs1": event["subject"], "cs1Label": "dossier"} if "subject" in event else {}),
        **{f"mc{key}": event["data"][key] for key in SHOWN if event["data"].get(key) is not None},
    }
    head = "|".join(_head(text) for text in ("Mot Cua 24/7", "events", "1", kind, name))
    tail = " ".join(f"{key}={_value(str(value))}" for key, value in told.items())
    return f"CEF:0|{head}|{severity}|{tail}"


def syslog(line: str, at: str) -> bytes:
    """Return ``line`` as a message of RFC 5424, framed for TCP."""
    message = f"<{PRIORITY}>1 {at} motcua247 events - - - {line}".encode()
    return str(len(message)).encode() + b" " + message


class Feed:
    """Sends stored lines in order over one connection."""

    def __init__(self, address: str) -> None:
        """Take ``host:port``; nothing is opened yet."""
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._socket: socket.socket | None = None

    def flush(self, store: sqlite3.Connection) -> None:
        """Send every stored line; raises OSError when the other side is away."""
        for place, text in store.execute("SELECT place, text FROM line ORDER BY place").fetchall():
            try:
                self._open().sendall(text.encode())
            except OSError:
                self._close()
                raise
            store.execute("DELETE FROM line WHERE place = ?", (place,))

    def _open(self) -> socket.socket:
        # A peer that hung up is noticed here: what is sent to it would be taken and thrown away.
        if self._socket is not None and select.select([self._socket], [], [], 0)[0]:
            self._close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=SEND_TIMEOUT_S)
        return self._socket

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def note(store: sqlite3.Connection, event: Event) -> None:
    """Store the line of ``event``, to be sent."""
    line = cef(event)
    if line is not None:
        framed = syslog(line, event["time"]).decode()
        store.execute("INSERT INTO line (text) VALUES (?)", (framed,))


class SocInbox(Inbox):
    """Sends what is stored, each second; what an earlier life left over comes first."""

    def __init__(self, path: Path, feed: Feed) -> None:
        """Open ``path``; nothing is sent yet."""
        super().__init__(path, TABLES, note)
        self._feed = feed

    def idle(self) -> None:
        """Send; a log server that is away is asked again a second later."""
        try:
            self._feed.flush(self.store)
        except OSError as error:
            print(f"syslog: {type(error).__name__}; lines are kept", file=sys.stderr)


def _head(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r", "\\r").replace("\n", "\\n")


def main() -> int:
    """Feed for ever."""
    inbox = SocInbox(Path(os.environ["STORE"]), Feed(os.environ["SYSLOG"]))
    inbox.run(os.environ["AMQP_URL"], os.environ["QUEUE"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
