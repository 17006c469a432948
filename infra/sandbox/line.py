# SPDX-License-Identifier: Apache-2.0
"""The line between a machine and the centre: passes bytes on, and can be cut for a while.

``python -m infra.sandbox.line --port N --forward LISTEN:TARGET [--forward …]``

``POST /control/cut`` with ``{"seconds": s}`` resets every connection and refuses new ones until the
time is over or ``POST /control/mend``; ``GET /control/book`` tells of every cut.
"""

import argparse
import contextlib
import socket
import sys
import threading
import time
from typing import Final

from infra.sandbox.http import Body, serve

_CUT_MAX_S: Final = 3600.0
_CONNECT_TIMEOUT_S: Final = 5.0
_CHUNK: Final = 65_536


class Line:
    """Forwards local ports; cut or whole."""

    def __init__(self, forwards: list[tuple[int, int]]) -> None:
        """Listen on every first port and pass on to its second."""
        self._cut_until = 0.0
        self._cuts: list[dict[str, float]] = []
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listeners = []
        for listen, target in forwards:
            listener = socket.create_server(("127.0.0.1", listen))
            self._listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener, target), daemon=True).start()

    def cut(self, body: Body) -> tuple[int, object]:
        """Reset everything and refuse new connections for ``seconds``."""
        try:
            seconds = float(body.get("seconds", 0))
        except (TypeError, ValueError):
            seconds = 0.0
        if not 0 < seconds <= _CUT_MAX_S:
            return 422, {"error": f"seconds: above 0, at most {_CUT_MAX_S:.0f}"}
        with self._lock:
            self._cut_until = time.monotonic() + seconds
            self._cuts.append({"at": time.time(), "seconds": seconds})
            open_ones, self._sockets = self._sockets, set()
        for one in open_ones:
            _close(one)
        return 200, {"seconds": seconds}

    def mend(self, _body: Body) -> tuple[int, object]:
        """Let connections through again at once."""
        with self._lock:
            self._cut_until = 0.0
        return 200, {}

    def book(self, _body: Body) -> tuple[int, object]:
        """Return every cut, and whether the line is cut now."""
        with self._lock:
            return 200, {"cuts": self._cuts, "is_cut": time.monotonic() < self._cut_until}

    def close(self) -> None:
        """Stop listening and reset what is open."""
        for listener in self._listeners:
            listener.close()
        with self._lock:
            open_ones, self._sockets = self._sockets, set()
        for one in open_ones:
            _close(one)

    def _accept(self, listener: socket.socket, target_port: int) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if time.monotonic() < self._cut_until:
                _close(client)
                continue
            try:
                target = socket.create_connection(("127.0.0.1", target_port), _CONNECT_TIMEOUT_S)
            except OSError:
                _close(client)
                continue
            target.settimeout(None)
            with self._lock:
                self._sockets |= {client, target}
            for source, sink in ((client, target), (target, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                sink.sendall(chunk)
        with self._lock:
            self._sockets -= {source, sink}
        _close(source)
        _close(sink)


def main(words: list[str]) -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--forward", type=_ports, action="append", required=True)
    flags = parser.parse_args(words)
    line = Line(flags.forward)
    routes = {
        ("POST", "/control/cut"): line.cut,
        ("POST", "/control/mend"): line.mend,
        ("GET", "/control/book"): line.book,
    }
    serve(flags.port, routes, line.close)
    return 0


def _ports(text: str) -> tuple[int, int]:
    listen, _, target = text.partition(":")
    return int(listen), int(target)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
