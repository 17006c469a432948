# SPDX-License-Identifier: Apache-2.0
"""The courier against servers that are slow, long, false or somewhere they must not be."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from infra.local.system import free_port
from services.common.clock import SystemClock
from services.notify.adapters.courier import HTTPCourier
from services.notify.application.ports import Parcel
from services.notify.domain.address import AddressRule
from services.notify.domain.webhook import Answer

LOOPBACK = AddressRule((ip_network("127.0.0.0/8"), ip_network("::1/128")))
PARCEL = Parcel(body=b'{"a":1}', message_id="m", timestamp=1, signature="v1,x")
Speak = Callable[[socket.socket], None]
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Server:
    """Accepts connections and lets ``speak`` answer on each."""

    def __init__(self, speak: Speak, tls: ssl.SSLContext | None = None) -> None:
        self._speak, self._tls = speak, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        try:
            if self._tls is not None:
                one = self._tls.wrap_socket(one, server_side=True)
            while read := one.recv(65_536):
                self.requests.append(read)
                self._speak(one)
        except OSError:
            pass
        finally:
            one.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers; all end finally."""
    with ExitStack() as opened:
        yield lambda speak, tls=None: opened.enter_context(closing(Server(speak, tls)))


def courier(
    rule: AddressRule = LOOPBACK, ca: Path | None = None, *, timeout_s: float = 10.0
) -> HTTPCourier:
    ca_file = None if ca is None else str(ca)
    return HTTPCourier(rule, SystemClock(), timeout_s=timeout_s, ca_file=ca_file)


def posted(server: Server, *, host: str = "127.0.0.1", scheme: str = "http",
           using: HTTPCourier | None = None) -> Answer:  # fmt: skip
    with (using or courier()).line(f"{scheme}://{host}:{server.port}/events") as line:
        return line.post(PARCEL)


def say(*parts: bytes, pause_s: float = 0.0) -> Speak:
    """Return a server's answer in parts."""

    def speak(one: socket.socket) -> None:
        for part in parts:
            one.sendall(part)
            time.sleep(pause_s)

    return speak


def test_one_connection_for_many_parcels(serve: Callable[..., Server]) -> None:
    """Kept while the receiver keeps it; one that died meanwhile is replaced unseen."""
    server = serve(say(NO_CONTENT))
    with courier().line(f"http://127.0.0.1:{server.port}/e") as line:
        assert [line.post(PARCEL).status for _ in range(3)] == [204] * 3
        assert server.connections == 1
        assert line._socket is not None
        line._socket.shutdown(socket.SHUT_RDWR)
        assert line.post(PARCEL).status == 204
    assert server.connections == 2
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == PARCEL.body
    assert b"POST /e HTTP/1.1" in head
    assert b"Content-Type: application/cloudevents+json" in head


@pytest.mark.parametrize(
    ("speak", "outcome"),
    [
        (say(*[b"HTTP/1.1 200 OK\r\n"], *[b"X-Drip: 1\r\n"] * 40, pause_s=0.1), "timeout"),
        (say(b"", pause_s=5), "timeout"),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n"), "nonsense"),
        (say(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"), "nonsense"),
        (lambda one: one.shutdown(socket.SHUT_RDWR), "cut"),
    ],
    ids=["drips", "silent", "no-http", "long-head", "cut"],
)
def test_what_is_no_answer(serve: Callable[..., Server], speak: Speak, outcome: str) -> None:
    """All within the one deadline."""
    began_s = time.monotonic()
    answer = posted(serve(speak), using=courier(timeout_s=1.5))
    assert (answer.outcome, answer.status) == (outcome, None)
    assert time.monotonic() - began_s < 3.5


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("7", 7), ("99999999999", 86_400), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)],
)
def test_how_long_a_receiver_wants_us_to_wait(
    serve: Callable[..., Server], text: str, wanted: int | None
) -> None:
    """Seconds within a day; what is no number asks for nothing."""
    head = f"HTTP/1.1 503 No\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n"
    assert posted(serve(say(head.encode()))).retry_after_s == wanted


def test_a_long_answer_is_not_read(serve: Callable[..., Server]) -> None:
    """Its status counts, the rest costs a connection."""
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"a" * 100_000
    server = serve(say(endless))
    with courier().line(f"http://127.0.0.1:{server.port}/") as line:
        assert [line.post(PARCEL).status for _ in range(2)] == [200, 200]
    assert server.connections == 2


def test_who_the_receiver_is_gets_checked(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Known certificate and right name, or nothing is sent."""
    authority, other = trustme.CA(), trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    known, foreign = tmp_path / "ca.pem", tmp_path / "other.pem"
    authority.cert_pem.write_to_path(str(known))
    other.cert_pem.write_to_path(str(foreign))
    server = serve(say(NO_CONTENT), tls)
    assert posted(server, scheme="https", using=courier(ca=known)).status == 204
    sent = len(server.requests)
    assert posted(server, scheme="https", using=courier(ca=foreign)).outcome == "tls"
    named = courier(AddressRule((ip_network("127.0.0.0/8"),)), known)
    assert posted(server, host="127.0.0.2", scheme="https", using=named).outcome in {
        "tls", "unreachable",
    }  # fmt: skip
    assert len(server.requests) == sent


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "0"])
def test_a_name_is_judged_by_what_it_means(
    serve: Callable[..., Server], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it looks like, no connection is made to where none may go."""
    server = serve(say(NO_CONTENT))
    monkeypatch.setattr("services.notify.domain.address.HTTPS_PORT", server.port)
    answer = posted(server, host=host, scheme="https", using=courier(AddressRule()))
    assert answer.outcome == "forbidden_address"
    assert server.connections == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "https://nowhere.invalid/"])
def test_nobody_there(url: str) -> None:
    """A closed port and a name without an address are unreachable."""
    with courier().line(url.format(port=free_port())) as line:
        assert line.post(PARCEL).outcome == "unreachable"
