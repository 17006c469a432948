# SPDX-License-Identifier: Apache-2.0
"""The one-stop sandbox as its own process, and a server that answers what it is told to."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from infra.local.system import free_port
from tests.support.waiting import wait_until

SESSION = "one-stop-session-of-a-test"


class OneStopProcess:
    """The sandbox's process; it may be stopped and started again on the same book."""

    def __init__(self, folder: Path) -> None:
        self.book_file = folder / "one_stop.db"
        self.session_file = folder / "session"
        self.session_file.write_text(SESSION)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [
            sys.executable, "-m", "infra.sandbox.one_stop", "--port", str(self.port),
            "--book", str(self.book_file), "--session-file", str(self.session_file),
        ]  # fmt: skip
        self._child = subprocess.Popen(command)
        wait_until(self._alive, what="the one-stop sandbox answers")

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(10)
            self._child = None

    def ask(self, service: str, session: str = SESSION, **body: object) -> dict:
        """Call its interface."""
        asked = {"session": session, "madonvi": "H30.12", "service": service, **body}
        answer = requests.post(f"{self.url}/api", json=asked, timeout=10)
        assert answer.status_code == 200
        return dict(answer.json())

    def finish(self, code: str, machine: str = "VT01") -> int:
        """Let its officials finish a dossier; returns the HTTP status."""
        body = {"MaHoSo": code, "machine": machine, "result_number": "KQ-1"}
        return requests.post(f"{self.url}/control/finish", json=body, timeout=10).status_code

    def register(self, **told: str) -> int:
        """Let its officials take a dossier at their counter; returns the HTTP status."""
        answer = requests.post(f"{self.url}/control/register", json=told, timeout=10)
        return answer.status_code

    def control(self, what: str, **told: object) -> int:
        """Order something; returns the HTTP status."""
        answer = requests.post(f"{self.url}/control/{what}", json=told, timeout=10)
        return answer.status_code

    def book(self) -> dict:
        """Return everything it knows."""
        return dict(requests.get(f"{self.url}/control/book", timeout=10).json())

    def _alive(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=1).status_code == 200
        except requests.RequestException:
            return False


@contextmanager
def one_stop_in(folder: Path) -> Iterator[OneStopProcess]:
    """Run the sandbox with its book in ``folder``."""
    process = OneStopProcess(folder)
    process.start()
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def answering(status: int, body: bytes, *, silent: bool = False) -> Iterator[str]:
    """Serve one fixed answer to every request, or none at all; yields the address."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if silent:
                stopped.wait(30)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            data = json.dumps({"error_code": 0, "reference": "r", "result": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()


@contextmanager
def answering_get(status: int, body: bytes) -> Iterator[str]:
    """Serve one fixed answer to every question; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
