# SPDX-License-Identifier: Apache-2.0
"""At least once becomes once: an event's effect and its id are stored in one transaction.

``Inbox.run`` takes events from a queue for ever. The effect gets the open transaction; when it
returns, effect and id are committed together, then the message is acknowledged. A program killed at
any moment goes on where it stopped, with each event once in effect.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pika
from pika.exceptions import AMQPError

Event = Mapping[str, Any]
Effect = Callable[[sqlite3.Connection, Event], None]
PREFIX: Final = "vn.motcua247."
PREFETCH: Final = 100
PAUSE_S: Final = 1.0
PARTS: Final = {"id": str, "type": str, "time": str, "sequence": str, "data": dict}


class Inbox:
    """The events that one subscriber has seen, in a file of its own."""

    def __init__(self, path: Path, tables: str, effect: Effect) -> None:
        """Open ``path``; ``tables`` is the SQL of the effect's own tables."""
        self.store = sqlite3.connect(path, timeout=10, isolation_level=None)
        self.store.execute("PRAGMA journal_mode = WAL")
        self.store.execute("PRAGMA synchronous = FULL")
        self.store.executescript("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY);" + tables)
        self._effect = effect

    def take(self, body: bytes) -> bool:
        """Let the event in ``body`` have its effect; False when it had it before.

        Raises:
            ValueError: it is no event; nothing was changed.
        """
        event = read(body)
        self.store.execute("BEGIN IMMEDIATE")
        try:
            row = self.store.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event["id"],))
            if new := row.rowcount == 1:
                self._effect(self.store, event)
        except BaseException:
            self.store.execute("ROLLBACK")
            raise
        self.store.execute("COMMIT")
        return new

    def run(self, url: str, queue: str) -> None:
        """Take events for ever; a broker that is away is asked again each second."""
        parameters = pika.URLParameters(url)
        parameters.heartbeat = 30
        while True:
            try:
                with pika.BlockingConnection(parameters) as connection:
                    channel = connection.channel()
                    channel.basic_qos(prefetch_count=PREFETCH)
                    channel.basic_consume(queue, self._message)
                    while channel.consumer_tags:  # none is left when the queue was deleted
                        connection.process_data_events(time_limit=PAUSE_S)
                        self.idle()
            except AMQPError as error:
                print(f"broker: {type(error).__name__}", file=sys.stderr)
            time.sleep(PAUSE_S)

    def idle(self) -> None:
        """Do what is due about each second."""

    def _message(self, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        try:
            self.take(body)
        except ValueError as error:
            # No second reading makes it one: it goes where the operator looks.
            print(f"not an event: {error}", file=sys.stderr)
            channel.basic_reject(method.delivery_tag, requeue=False)
            return
        channel.basic_ack(method.delivery_tag)


def read(body: bytes) -> Event:
    """Return the CloudEvent in ``body``.

    Raises:
        ValueError: names what is missing or wrong.
    """
    event = json.loads(body)
    if not isinstance(event, dict):
        raise ValueError("the body is no object")  # noqa: TRY004 - one kind of error for callers
    wrong = [name for name, kind in PARTS.items() if not isinstance(event.get(name), kind)]
    if wrong:
        raise ValueError(f"missing or of another type: {', '.join(wrong)}")
    return event


def kind_of(event: Event) -> str:
    """Return ``dossier.accepted`` for ``vn.motcua247.dossier.accepted.v1``."""
    return str(event["type"]).removeprefix(PREFIX).rpartition(".v")[0]
