# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server for sandboxes: JSON in, JSON out, a thread for each request.

The body of a question is its query, with the Authorization header as ``authorization``.
"""

import json
import signal
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl

Body = Mapping[str, Any]
Route = Callable[[Body], tuple[int, object]]
BODY_MAX: Final = 1_000_000


def serve(port: int, routes: Mapping[tuple[str, str], Route], on_stop: Callable[[], None]) -> None:
    """Serve ``routes`` by (method, path) until SIGTERM or SIGINT."""
    handler = type("Handler", (_Handler,), {"routes": dict(routes)})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True

    def stop(*_signal: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        server.serve_forever(0.1)
    finally:
        server.server_close()
        on_stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    routes: Mapping[tuple[str, str], Route]

    def do_GET(self) -> None:
        query = dict(parse_qsl(self.path.partition("?")[2]))
        self._answer("GET", {**query, "authorization": self.headers.get("Authorization", "")})

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", "0"))
            body = json.loads(self.rfile.read(length)) if 0 < length <= BODY_MAX else None
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self._send(400, {"error": "the body must be a JSON object"})
            return
        given = self.headers.get("Authorization")
        self._answer("POST", body if given is None else {**body, "authorization": given})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: bodies may hold what a person typed."""

    def _answer(self, method: str, body: Body) -> None:
        path = self.path.partition("?")[0]
        if (method, path) == ("GET", "/healthz"):
            self._send(200, {"alive": True})
            return
        route = self.routes.get((method, path))
        if route is None:
            self._send(404, {"error": f"nothing at {method} {path}"})
            return
        self._send(*route(body))

    def _send(self, status: int, body: object) -> None:
        # Bytes go out as they are: sandboxes may be ordered to talk nonsense.
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
