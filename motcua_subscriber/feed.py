# SPDX-License-Identifier: Apache-2.0
"""The feed: pages of events, digests, certificates; with the standard library."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode, urlsplit

from motcua_subscriber.event import Event, NotAnEventError, from_json

TIMEOUT_S = 15.0
ANSWER_BYTES_MAX = 64_000_000
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class FeedError(Exception):
    """The feed did not answer, or not as it should.

    Attributes:
        status: HTTP status, 0 without an answer.
        code: machine word of the problem, empty without one.
        retry_after_s: when to ask again, where the feed said so.
    """

    def __init__(self, status: int, code: str, *, retry_after_s: float = 0.0) -> None:
        """Describe what came back."""
        super().__init__(f"the feed answered {status} {code}".strip())
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Page:
    """Events in log order; ``through`` is the position up to which was looked."""

    events: Sequence[Event]
    through: int
    head: int


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes to the address it was made for, and nowhere else."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow nothing."""


class FeedClient:
    """Asks the feed at ``base_url`` (``https://…``) with a subscriber's token."""

    def __init__(self, base_url: str, token: str) -> None:
        """Refuse an address at which the token would be readable on its way."""
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
            raise ValueError("the feed's address must begin with https://")
        self._base = base_url.rstrip("/")
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def page(self, after: int, *, limit: int = 500, wait_s: int = 0) -> Page:
        """Return what is owed behind ``after``; waits up to ``wait_s`` (25) for the first event.

        Raises:
            FeedError: not answered, or not as it should be.
        """
        query = urlencode({"after": after, "limit": limit, "wait": wait_s})
        body, headers = self._get(f"/v1/events?{query}", wait_s)
        message = _decoded(body)
        try:
            events = [from_json(one) for one in message["events"]]
            return Page(events, int(message["through"]), int(headers.get("Motcua-Head", 0)))
        except (KeyError, TypeError, ValueError, NotAnEventError) as error:
            raise FeedError(200, "not_a_page") from error

    def digest(self, after: int, through: int) -> tuple[int, str]:
        """Return count and digest of what was owed in (after, through]; raises FeedError."""
        body, _ = self._get(f"/v1/digest?{urlencode({'after': after, 'through': through})}")
        message = _decoded(body)
        try:
            return int(message["count"]), str(message["digest"])
        except (KeyError, TypeError, ValueError) as error:
            raise FeedError(200, "not_a_digest") from error

    def certificate(self, day: date) -> str:
        """Return the signed certificate of a day that is over; raises FeedError."""
        return self._get(f"/v1/certificates/{day.isoformat()}")[0].decode("utf-8", "replace")

    def _get(self, path: str, wait_s: int = 0) -> tuple[bytes, Mapping[str, str]]:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._base + path, headers={"Authorization": f"Bearer {self._token}"}
        )
        try:
            with self._opener.open(request, timeout=wait_s + TIMEOUT_S) as answer:
                body = answer.read(ANSWER_BYTES_MAX + 1)
                headers = dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from error
        except OSError as error:
            raise FeedError(0, type(error).__name__) from error
        if len(body) > ANSWER_BYTES_MAX:
            raise FeedError(200, "too_long")
        return body, headers


def _refusal(error: urllib.error.HTTPError) -> FeedError:
    try:
        code = str(json.loads(error.read(65_536))["code"])
    except (OSError, ValueError, KeyError, TypeError):
        code = ""
    after = str(error.headers.get("Retry-After", ""))
    return FeedError(error.code, code, retry_after_s=float(after) if after.isdigit() else 0.0)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FeedError(200, "not_json") from error
    if not isinstance(message, dict):
        raise FeedError(200, "not_an_object")
    return message
