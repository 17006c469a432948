# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that can cut, refuse, and go silent in either direction without closing anything."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class TcpProxy:
    """Forwards ``127.0.0.1:port`` to a target; faults hold for the connections of that moment."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[_Pair] = []
        self.accepting = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.accepting = False
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.close()

    def silence(self, *, to_client: bool = True, to_target: bool = True) -> None:
        """Let the present connections stay open while nothing arrives any more."""
        for pair in self._pairs:
            pair.mute_client = pair.mute_client or to_client
            pair.mute_target = pair.mute_target or to_target

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if not self.accepting:
                    raise ConnectionRefusedError
                target = socket.create_connection(self._target, timeout=5)
            except OSError:
                client.close()
                continue
            target.settimeout(None)
            self._pairs.append(_Pair(client, target))


class _Pair:
    def __init__(self, client: socket.socket, target: socket.socket) -> None:
        self._sockets = (client, target)
        self.mute_client = self.mute_target = False
        for back in (False, True):
            threading.Thread(target=self._pump, args=(back,), daemon=True).start()

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _pump(self, back: bool) -> None:
        client, target = self._sockets
        source, sink = (target, client) if back else (client, target)
        with contextlib.suppress(OSError):
            while content := source.recv(65_536):
                if not (self.mute_client if back else self.mute_target):
                    sink.sendall(content)
        if not (self.mute_client or self.mute_target):
            self.close()
