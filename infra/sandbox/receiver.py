# SPDX-License-Identifier: Apache-2.0
"""A receiver of webhooks: somebody else's server, with its own book and its own bad days.

``python -m infra.sandbox.receiver --port N --book FILE --secret-file FILE``

It takes events at ``POST /events`` with the subscribers' package. ``POST /control/faults`` orders
faults: ``errors`` (500), ``throttled`` (503 with Retry-After: 1), ``gone`` (410), ``redirects``
(302), ``cuts`` (the event is taken, then the connection is cut), each so many times, and ``slow``
(seconds before each answer). ``GET /control/book`` tells what came.
"""

import argparse
import contextlib
import json
import signal
import socket
import sqlite3
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from infra.sandbox.book import Book
from infra.sandbox.faults import Orders
from motcua_subscriber import Event, SQLiteInbox, WebhookError, take

BODY_MAX: Final = 1_000_000
COUNTED: Final = ("errors", "throttled", "gone", "redirects", "cuts")
_EFFECTS: Final = """
    CREATE TABLE IF NOT EXISTS effect (
        place INTEGER PRIMARY KEY, position INTEGER NOT NULL, type TEXT NOT NULL)
"""
_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS request (
        place INTEGER PRIMARY KEY, path TEXT NOT NULL, answer TEXT NOT NULL, body BLOB NOT NULL);
"""


class Receiver:
    """Takes webhooks, each once in effect."""

    def __init__(self, book: Path, secret_file: Path) -> None:
        """Open the book; the secret is read at each request, so it may come later."""
        self.book = Book(book, _SCHEMA)
        self.faults = Orders(COUNTED, ("slow",))
        self.inbox_path = book.with_suffix(".inbox.db")
        self._secret_file = secret_file

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bool]:
        """Return the status of a POST, and whether the connection is to be cut instead."""
        status, cut = self._decided(path, headers, body)
        said = "cut" if cut else str(status)
        with self.book.writing() as connection:
            connection.execute(
                "INSERT INTO request (path, answer, body) VALUES (?, ?, ?)", (path, said, body)
            )
        time.sleep(self.faults.seconds("slow"))
        return status, cut

    def told(self) -> dict[str, Any]:
        """Return positions in the order of their effects, and how every request was answered."""
        with closing(self._open_inbox()) as inbox:
            rows = inbox.connection.execute("SELECT position, type FROM effect ORDER BY place")
            effects = [{"position": position, "type": kind} for position, kind in rows]
        answers = self.book.rows(
            "SELECT path, answer, count(*) AS times FROM request GROUP BY 1, 2"
        )
        return {"effects": effects, "answers": answers}

    def _decided(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bool]:
        if path != "/events":
            return 404, False
        for name, status in (("errors", 500), ("throttled", 503), ("gone", 410),
                             ("redirects", 302)):  # fmt: skip
            if self.faults.take(name):
                return status, False
        try:
            secrets = self._secret_file.read_text(encoding="utf-8").split()
            with closing(self._open_inbox()) as inbox:
                take(inbox, _effect, headers, body, secrets)
        except (WebhookError, OSError):
            return 401, False
        return 204, self.faults.take("cuts")

    def _open_inbox(self) -> SQLiteInbox:
        # For each request, because SQLite's connections belong to their threads.
        inbox = SQLiteInbox(self.inbox_path)
        inbox.connection.execute(_EFFECTS)
        return inbox


def _effect(event: Event, connection: sqlite3.Connection) -> None:
    """Count the event, in the inbox's own transaction."""
    connection.execute(
        "INSERT INTO effect (position, type) VALUES (?, ?)", (event.position, event.type)
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    receiver: Receiver

    def do_GET(self) -> None:
        if self.path == "/control/book":
            self._send(200, self.receiver.told())
        else:
            self._send(200 if self.path == "/healthz" else 404, {})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else 0
        body = self.rfile.read(size) if size <= BODY_MAX else b""
        if self.path == "/control/faults":
            try:
                self._send(*self.receiver.faults.order(json.loads(body)))
            except (ValueError, AttributeError):
                self._send(400, {"error": "the body must be a JSON object"})
            return
        status, cut = self.receiver.answer(self.path, dict(self.headers), body)
        if cut:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(status, {})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _send(self, status: int, body: object) -> None:
        data = b"" if status == 204 else json.dumps(body).encode()  # noqa: PLR2004 - no content
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 302:  # noqa: PLR2004 - a redirect
            self.send_header("Location", "/elsewhere")
        if status == 503:  # noqa: PLR2004 - not available
            self.send_header("Retry-After", "1")
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever asked may be gone after a slow answer
            self.wfile.write(data)


def make_server(receiver: Receiver, port: int) -> ThreadingHTTPServer:
    """Return the server, listening on ``port`` of this machine."""
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    return server


def main(words: list[str]) -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    flags = parser.parse_args(words)
    receiver = Receiver(flags.book, flags.secret_file)
    server = make_server(receiver, flags.port)

    def stop(*_signal: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        server.serve_forever(0.1)
    finally:
        server.server_close()
        receiver.book.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
