# SPDX-License-Identifier: Apache-2.0
"""A subscriber outside, made of the package as docs/subscribing.md says.

``STORE`` (a file), ``FEED_URL`` and ``TOKEN`` come from the environment, ``AMQP_URL`` and ``QUEUE``
where it has a queue. Its effect is a row for each event, with nothing that keeps a second row out
but the inbox.
"""

import os
import signal
import sqlite3
import sys
from typing import Final

from motcua_subscriber import Event, FeedClient, SQLiteInbox, Subscriber

CHECK_EVERY_S: Final = 5.0
EFFECTS: Final = """
    CREATE TABLE IF NOT EXISTS effect (
        place INTEGER PRIMARY KEY, position INTEGER NOT NULL, type TEXT NOT NULL)
"""


def effect(event: Event, connection: sqlite3.Connection) -> None:
    """Count the event, in the inbox's own transaction."""
    connection.execute(
        "INSERT INTO effect (position, type) VALUES (?, ?)", (event.position, event.type)
    )


def main() -> int:
    """Take events until SIGTERM."""
    inbox = SQLiteInbox(os.environ["STORE"])
    inbox.connection.execute(EFFECTS)
    subscriber = Subscriber(
        FeedClient(os.environ["FEED_URL"], os.environ["TOKEN"]), inbox,
        amqp_url=os.environ.get("AMQP_URL"), queue=os.environ.get("QUEUE", ""),
        check_every_s=CHECK_EVERY_S,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: subscriber.stop())
    subscriber.run(effect)
    inbox.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
