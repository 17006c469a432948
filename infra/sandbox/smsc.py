# SPDX-License-Identifier: Apache-2.0
"""An SMS centre of its own: SMPP 3.4 on one port, its book over HTTP on another.

``python -m infra.sandbox.smsc --port N --http-port M --book FILE --password-file FILE
--system-id ID --sender NAME``

``POST /control/faults`` orders faults; ``GET /control/book`` tells everything it took.
"""

import argparse
import hmac
import socketserver
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from infra.sandbox import pdu
from infra.sandbox.book import Book
from infra.sandbox.faults import Orders
from infra.sandbox.http import Body, serve

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS message (
    id TEXT PRIMARY KEY, destination TEXT NOT NULL, sender TEXT NOT NULL, text TEXT NOT NULL,
    at TEXT NOT NULL, receipt_acknowledged INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS receipt (
    message TEXT PRIMARY KEY, state TEXT NOT NULL);
"""
COUNTED: Final = ("throttle", "drop", "silent", "receipt_unknown")
"""Faults of the next n messages: not taken, too many at once; the session ends before the message
is taken; taken and never answered; taken, and the receipt says that nobody knows."""
TIMED: Final = ("slow_s",)
"""How long each answer to a message takes, until another length is ordered."""
_UNACKNOWLEDGED: Final = (
    "SELECT id, destination, sender, state FROM message JOIN receipt ON receipt.message = id"
    " WHERE receipt_acknowledged = 0 ORDER BY at LIMIT 1000"
)
_GSM_7, _LONGEST = 0, 160
_RECEIPT_EVERY_S: Final = 0.2
_RECEIPTS_AT_ONCE, _DOUBLED_MAX = 20, 6
_IDLE_S: Final = 120


@dataclass(frozen=True, slots=True)
class Account:
    """Who may bind, and under which registered sender it may speak."""

    system_id: str
    password: str
    sender: str


class Session(socketserver.BaseRequestHandler):
    """One connection; malformed units are answered, never fatal to the centre."""

    book: Book
    account: Account
    faults: Orders

    def setup(self) -> None:
        """Begin unbound."""
        self._bound = False
        self._writing = threading.Lock()
        self._receipts: dict[int, str] = {}
        self._refused = Counter[str]()
        self._sequence = 0
        self._open = True
        self.request.settimeout(_IDLE_S)

    def handle(self) -> None:
        """Answer units until the peer leaves."""
        threading.Thread(target=self._send_receipts, daemon=True).start()
        try:
            while True:
                length, command, status, sequence = pdu.HEADER.unpack(self._exactly(16))
                if not pdu.HEADER.size <= length <= pdu.LENGTH_MAX:
                    self._write(pdu.pack(pdu.GENERIC_NACK, pdu.INVALID_LENGTH, sequence))
                    return
                body = self._exactly(length - pdu.HEADER.size)
                if not self._answer(command, status, sequence, body):
                    return
        except (OSError, EOFError):
            return
        finally:
            self._open = False

    def _answer(self, command: int, status: int, sequence: int, body: bytes) -> bool:
        """Answer one unit; False ends the session."""
        if command & pdu.RESPONSE:
            self._acknowledged(sequence, status)
            return True
        try:
            if command in pdu.BINDS:
                return self._bind(command, sequence, body)
            if command == pdu.SUBMIT_SM:
                return self._submit(sequence, body)
            if command in {pdu.ENQUIRE_LINK, pdu.UNBIND}:
                self._write(pdu.pack(command | pdu.RESPONSE, pdu.OK, sequence))
                return command != pdu.UNBIND
            self._write(pdu.pack(pdu.GENERIC_NACK, pdu.INVALID_COMMAND, sequence))
        except pdu.BrokenError:
            self._write(pdu.pack(pdu.GENERIC_NACK, pdu.INVALID_LENGTH, sequence))
        return True

    def _bind(self, command: int, sequence: int, body: bytes) -> bool:
        system_id, password = pdu.read_bind(body)
        known = system_id == self.account.system_id and hmac.compare_digest(
            password, self.account.password
        )
        self._bound = known
        status = pdu.OK if known else pdu.BIND_FAILED
        self._write(pdu.pack(command | pdu.RESPONSE, status, sequence, pdu.text("sandbox")))
        return known

    def _submit(self, sequence: int, body: bytes) -> bool:
        message = pdu.read_submit(body)
        status, identifier = self._refusal(message), ""
        if status == pdu.OK and self.faults.take("throttle"):
            status = pdu.THROTTLED
        if status == pdu.OK:
            if self.faults.take("drop"):
                return False
            identifier = self._take(message)
            if self.faults.take("silent"):
                return True
        time.sleep(self.faults.seconds("slow_s"))
        reply = pdu.SUBMIT_SM | pdu.RESPONSE
        self._write(pdu.pack(reply, status, sequence, pdu.text(identifier)))
        return True

    def _take(self, message: pdu.Submit) -> str:
        identifier = uuid.uuid4().hex
        state = "UNKNOWN" if self.faults.take("receipt_unknown") else "DELIVRD"
        with self.book.writing() as rows:
            rows.execute(
                "INSERT INTO message (id, destination, sender, text, at) VALUES (?, ?, ?, ?, ?)",
                (identifier, message.destination, message.sender, message.text.decode("ascii"),
                 datetime.now(UTC).isoformat()),
            )  # fmt: skip
            rows.execute("INSERT INTO receipt (message, state) VALUES (?, ?)", (identifier, state))
        return identifier

    def _refusal(self, message: pdu.Submit) -> int:
        if not self._bound:
            return pdu.NOT_BOUND
        if message.sender != self.account.sender:
            return pdu.INVALID_SOURCE
        if not (message.destination.isdigit() and message.destination.startswith("84")):
            return pdu.INVALID_DESTINATION
        plain = message.text.isascii() and 0 < len(message.text) <= _LONGEST
        return pdu.OK if plain and message.coding == _GSM_7 else pdu.SUBMIT_FAILED

    def _send_receipts(self) -> None:
        rounds = 0
        while self._open:
            time.sleep(_RECEIPT_EVERY_S)
            if not self._bound:
                continue
            rounds += 1
            for row in self._due(rounds):
                self._sequence += 1
                self._receipts[self._sequence] = str(row["id"])
                content = f"id:{row['id']} sub:001 dlvrd:001 stat:{row['state']} err:000 text:"
                destination, sender = str(row["destination"]), str(row["sender"])
                try:
                    self._write(pdu.receipt(self._sequence, destination, sender, content))
                except OSError:
                    return

    def _due(self, rounds: int) -> list[dict[str, object]]:
        """Receipts nobody wants come again ever more rarely, and hold up no others."""

        def refused(row: dict[str, object]) -> int:
            return self._refused[str(row["id"])]

        rows = self.book.rows(_UNACKNOWLEDGED)
        due = [row for row in rows if rounds % 2 ** min(refused(row), _DOUBLED_MAX) == 0]
        return sorted(due, key=refused)[:_RECEIPTS_AT_ONCE]

    def _acknowledged(self, sequence: int, status: int) -> None:
        identifier = self._receipts.pop(sequence, None)
        if identifier is None:
            return
        if status != pdu.OK:
            self._refused[identifier] += 1
            return
        with self.book.writing() as rows:
            rows.execute("UPDATE message SET receipt_acknowledged = 1 WHERE id = ?", (identifier,))

    def _write(self, data: bytes) -> None:
        with self._writing:
            self.request.sendall(data)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.request.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data


class _Centre(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main(words: list[str]) -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--port", "--http-port"):
        parser.add_argument(name, type=int, required=True)
    for name in ("--book", "--password-file"):
        parser.add_argument(name, type=Path, required=True)
    for name in ("--system-id", "--sender"):
        parser.add_argument(name, required=True)
    flags = parser.parse_args(words)
    book = Book(flags.book, _SCHEMA)
    account = Account(flags.system_id, flags.password_file.read_text().strip(), flags.sender)
    faults = Orders(COUNTED, TIMED)
    bound = {"book": book, "account": account, "faults": faults}
    session: Any = type("BoundSession", (Session,), bound)
    centre = _Centre(("127.0.0.1", flags.port), session)
    threading.Thread(target=centre.serve_forever, daemon=True).start()

    def read(_body: Body) -> tuple[int, object]:
        return 200, {"messages": book.rows("SELECT * FROM message ORDER BY at")}

    def stop() -> None:
        centre.shutdown()
        book.close()

    routes = {("GET", "/control/book"): read, ("POST", "/control/faults"): faults.order}
    serve(flags.http_port, routes, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
