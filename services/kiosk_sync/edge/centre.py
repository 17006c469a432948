# SPDX-License-Identifier: Apache-2.0
"""The centre as the machine reaches it: HTTPS with the machine's certificate and one pinned CA."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import requests

from services.common.canonical import Json, JsonObject, parse_json
from services.common.errors import Unavailable

_CONNECT_S: Final = 5
_READ_S: Final = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``body`` is empty when it was no JSON object."""

    status: int
    body: JsonObject
    retry_after_s: int | None


class Centre:
    """One connection for one lane; every call may raise Unavailable and be sent again."""

    def __init__(
        self,
        base_url: str,
        serial: str,
        epoch: int,
        *,
        ca: str = "",
        client: tuple[str, str] = ("", ""),
    ) -> None:
        """Bind the address and the machine's certificate and key files (empty only in tests)."""
        self._base = base_url.rstrip("/")
        self._place: Mapping[str, Json] = {"serial": serial, "epoch": epoch}
        self._http = requests.Session()
        self._http.trust_env = False  # neither a proxy nor another CA bundle may get between
        if ca:
            self._http.verify = ca
            self._http.cert = client

    def hello(self, next_seq: int, head: str) -> Answer:
        """Say where the machine stands; the answer says where the centre stands."""
        return self._send("POST", "hello", json={**self._place, "next": next_seq, "head": head})

    def upload(self, body: bytes) -> Answer:
        """Send a run of records."""
        return self._send("POST", "events", data=body, headers={"Content-Type": "application/gzip"})

    def orders(self, after: int, wait_s: int) -> Answer:
        """Ask for orders after a number; the centre answers at the first or after ``wait_s``."""
        asked = {**self._place, "after": after, "wait": wait_s}
        return self._send("GET", "downlink", params=asked, read_s=_READ_S + wait_s)

    def catalogue(self) -> Answer:
        """Ask which procedures there are."""
        return self._send("GET", "catalogue", params=dict(self._place))

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _send(self, method: str, name: str, *, read_s: int = _READ_S, **more: object) -> Answer:
        url = f"{self._base}/kiosk/v1/{name}"
        try:
            response = self._http.request(
                method, url, timeout=(_CONNECT_S, read_s), allow_redirects=False,
                **more,  # type: ignore[arg-type]
            )  # fmt: skip
            content = response.content
        except requests.RequestException as error:
            raise Unavailable("centre", f"{name}: {type(error).__name__}") from error
        waiting = response.headers.get("Retry-After", "")
        return Answer(
            response.status_code, _object(content), int(waiting) if waiting.isdigit() else None
        )


def _object(content: bytes) -> JsonObject:
    try:
        value = parse_json(content)
    except ValueError:
        return {}
    return cast("JsonObject", value) if isinstance(value, dict) else {}
