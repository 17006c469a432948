# SPDX-License-Identifier: Apache-2.0
"""Webhooks over HTTP/1.1 and TLS: one deadline for everything, no redirects, judged addresses.

The name is looked up at each connection, every address it has is judged, and the connection goes to
the judged address itself, so that nothing can change in between. A connection is kept for the
parcels of one turn. No proxy is used and no cookie kept; of the answer only head and length count.
"""

import contextlib
import http.client
import io
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LookUpTimeout
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final, cast
from urllib.parse import urlsplit

from services.common.clock import Clock
from services.common.errors import Refused
from services.common.messaging.envelope import CONTENT_TYPE
from services.notify.application.ports import Parcel
from services.notify.domain.address import HTTPS_PORT, AddressRule
from services.notify.domain.webhook import Answer

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 16_384
ADDRESSES_MAX: Final = 3
LOOK_UPS_MAX: Final = 32
AGENT: Final = "motcua247-webhooks/1"
_HTTP_PORT: Final = 80
_RETRY_AFTER_MAX_S: Final = 86_400


class ForbiddenAddressError(OSError):
    """The name means, among others, an address that no webhook may go to."""


class HTTPCourier:
    """Opens lines; safe for many threads."""

    def __init__(
        self, rule: AddressRule, clock: Clock, *, timeout_s: float = TIMEOUT_S, ca_file: str | None
    ) -> None:
        """Bind.

        Args:
            rule: which addresses are allowed.
            clock: measures the deadline.
            timeout_s: for one parcel, from the look-up to the end of the answer.
            ca_file: certificates that receivers are checked with; the machine's own when None.
        """
        self.rule = rule
        self.clock = clock
        self.timeout_s = timeout_s
        self.tls = ssl.create_default_context(cafile=ca_file)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        # The resolver has no time-out of its own that we could set.
        self.look_ups = ThreadPoolExecutor(LOOK_UPS_MAX, thread_name_prefix="look-up")

    @contextmanager
    def line(self, url: str) -> Iterator["HTTPLine"]:
        """See ``Courier.line``."""
        line = HTTPLine(self, url)
        try:
            yield line
        finally:
            line.close()


class HTTPLine:
    """A way to one URL; keeps its connection between parcels."""

    def __init__(self, courier: HTTPCourier, url: str) -> None:
        """Bind; nothing is opened."""
        parts = urlsplit(url)
        self._courier = courier
        self._url = url
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or (HTTPS_PORT if self._secure else _HTTP_PORT)
        self._shown = parts.netloc
        self._path = parts.path or "/"
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Close the connection where there is one."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def post(self, parcel: Parcel) -> Answer:
        """See ``Line.post``. A kept connection that turns out dead is replaced once."""
        clock = self._courier.clock
        began_s = clock.monotonic_s()
        until_s = began_s + self._courier.timeout_s
        kept = self._socket is not None
        outcome, response = self._exchange(parcel, until_s)
        if response is None and kept and outcome == "cut":
            outcome, response = self._exchange(parcel, until_s)
        latency_ms = round((clock.monotonic_s() - began_s) * 1_000)
        if response is None:
            self.close()
            return Answer(outcome=outcome, latency_ms=latency_ms)
        answer = Answer(
            outcome="answered", status=response.status, latency_ms=latency_ms,
            retry_after_s=_retry_after(response.getheader("Retry-After", "")),
        )  # fmt: skip
        self._empty(response)
        return answer

    def _exchange(
        self, parcel: Parcel, until_s: float
    ) -> tuple[str, http.client.HTTPResponse | None]:
        """Return what happened and, where there is one, the answer with its head read."""
        outcome = "unreachable"
        try:
            if self._socket is None:
                self._socket = self._connected(until_s)
            outcome = "cut"
            self._socket.settimeout(self._left(until_s))
            self._socket.sendall(self._head(parcel) + parcel.body)
            source = cast("socket.socket", _Timed(self._socket, self, until_s))
            response = http.client.HTTPResponse(source, method="POST")
            response.begin()
        except ForbiddenAddressError:
            outcome = "forbidden_address"
        except (TimeoutError, LookUpTimeout):
            outcome = "timeout"
        except ssl.SSLError:
            outcome = "tls" if outcome == "unreachable" else outcome
        except http.client.RemoteDisconnected:
            outcome = "cut"
        except (http.client.HTTPException, ValueError):
            outcome = "nonsense"
        except OSError:
            pass  # unreachable before the request, cut after it
        else:
            return "answered", response
        self.close()
        return outcome, None

    def _connected(self, until_s: float) -> socket.socket:
        try:
            self._courier.rule.check(self._url)
        except Refused as refusal:
            raise ForbiddenAddressError from refusal
        found = self._courier.look_ups.submit(
            socket.getaddrinfo, self._host, self._port, type=socket.SOCK_STREAM
        ).result(self._left(until_s))
        if not all(self._courier.rule.allows(ip_address(str(one[4][0]))) for one in found):
            raise ForbiddenAddressError
        plain = self._opened(found[:ADDRESSES_MAX], until_s)
        if not self._secure:
            return plain
        plain.settimeout(self._left(until_s))
        try:
            return self._courier.tls.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    def _opened(self, found: list[Any], until_s: float) -> socket.socket:
        failure: OSError = ConnectionError("the name has no address")
        for family, kind, protocol, _, address in found:
            one = socket.socket(family, kind, protocol)
            one.settimeout(self._left(until_s))
            try:
                one.connect(address)
            except OSError as error:
                one.close()
                failure = error
            else:
                return one
        raise failure

    def _head(self, parcel: Parcel) -> bytes:
        lines = (
            f"POST {self._path} HTTP/1.1", f"Host: {self._shown}", f"User-Agent: {AGENT}",
            f"Content-Type: {CONTENT_TYPE}; charset=utf-8", f"Content-Length: {len(parcel.body)}",
            "Accept: */*", "Accept-Encoding: identity", f"webhook-id: {parcel.message_id}",
            f"webhook-timestamp: {parcel.timestamp}", f"webhook-signature: {parcel.signature}",
        )  # fmt: skip
        return "".join(f"{line}\r\n" for line in lines).encode("ascii") + b"\r\n"

    def _empty(self, response: http.client.HTTPResponse) -> None:
        """Read the rest, so that the connection can be used again; close it where that is long."""
        try:
            response.read(ANSWER_BYTES_MAX)
            spent = response.isclosed() and not response.will_close
        except (OSError, http.client.HTTPException, ValueError):
            spent = False
        if not spent:
            self.close()

    def _left(self, until_s: float) -> float:
        left_s = until_s - self._courier.clock.monotonic_s()
        if left_s <= 0:
            raise TimeoutError
        return left_s


class _Timed(io.RawIOBase):
    """The answer's bytes, all of them before one deadline, however slowly they drip."""

    def __init__(self, source: socket.socket, line: HTTPLine, until_s: float) -> None:
        self._source = source
        self._line = line
        self._until_s = until_s

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._source.settimeout(self._line._left(self._until_s))  # noqa: SLF001 - same module
        return self._source.recv_into(buffer)


def _retry_after(text: str | None) -> int | None:
    """Return the seconds that a receiver asks for; a date is not understood and counts as none."""
    if not text or not text.isdecimal() or not text.isascii():
        return None
    return min(int(text[:9]), _RETRY_AFTER_MAX_S)
