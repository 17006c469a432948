# SPDX-License-Identifier: Apache-2.0
"""Whether a visitor stands in anything that went out: messages, feed, webhooks, dead letters."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import requests

from infra.chaosing.harm import TAP, Harms
from infra.day.privacy import spelled
from infra.hands import Citizen
from infra.local.settings import Stack
from services.common.messaging import topology

_AT_ONCE: Final = 500
_TIMEOUT_S: Final = 30


def looked_through(
    local: Stack, harms: Harms, *, token: str, book: Path, people: Sequence[Citizen]
) -> dict[str, Any]:
    """Search everything that went out; and the SMS centre's book, where telephones must be found.

    Returns:
        ``bodies`` by place, ``found`` (places with a visitor), ``blind`` (the search itself).
    """
    words = words_of(people)
    dead = [name for name in harms.queues() if name.endswith(".dlq")] + [topology.UNROUTED]
    places: dict[str, list[bytes]] = {
        "messages": list(_drained(harms, TAP)),
        "dead letters": [body for name in dead for body in _drained(harms, name)],
        "feed": list(_pages(local, token)),
        "webhooks": _posted(book),
    }
    answer = requests.get(f"{local.http('smsc-http')}/control/book", timeout=_TIMEOUT_S)
    return {
        "bodies": {name: len(bodies) for name, bodies in places.items()},
        "found": found(words, places),
        "blind": not found(words, {"books": [answer.content]}),
    }


def words_of(people: Iterable[Citizen]) -> list[bytes]:
    """Return how names and telephones may be written, also with JSON's escapes."""
    texts = {text for one in people for text in (one.name, one.phone[1:])}
    plain = [way for text in texts for way in spelled(text)]
    return plain + [json.dumps(text).strip('"').encode() for text in texts]


def found(words: Sequence[bytes], places: Mapping[str, Iterable[bytes]]) -> list[str]:
    """Return the places where a word stands."""
    return [
        name
        for name, bodies in places.items()
        if any(word in body for body in bodies for word in words)
    ]


def _drained(harms: Harms, queue: str) -> Iterator[bytes]:
    while bodies := harms.messages(queue, _AT_ONCE, "ack_requeue_false"):
        yield from bodies


def _pages(local: Stack, token: str) -> Iterator[bytes]:
    """Yield the whole feed, as it goes over the wire."""
    after, more = 0, True
    while more:
        answer = requests.get(
            f"{local.http('notify-feed-http')}/v1/events", params={"after": after, "limit": 1000},
            headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S,
        )  # fmt: skip
        answer.raise_for_status()
        yield answer.content
        through = int(answer.json()["through"])
        more, after = through > after, through


def _posted(book: Path) -> list[bytes]:
    with closing(sqlite3.connect(book, timeout=10)) as connection:
        return [bytes(row[0]) for row in connection.execute("SELECT body FROM request")]
