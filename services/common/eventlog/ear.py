# SPDX-License-Identifier: Apache-2.0
"""The log's notifications, heard on a connection of its own."""

import time
from contextlib import suppress
from typing import Self

import psycopg


class Ear:
    """Waits for the log's notification; a lost connection costs latency only."""

    def __init__(self, url: str) -> None:
        """Remember where to listen; nothing is opened before the first wait."""
        self._url = url
        self._connection: psycopg.Connection | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self._drop()

    def wait(self, seconds: float) -> None:
        """Return after a notification or ``seconds``, whichever comes first."""
        try:
            if self._connection is None:
                # The first round after (re)connecting returns at once: something may have been
                # committed before LISTEN took effect.
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
                self._connection.execute("LISTEN eventlog")
                return
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.Error:
            self._drop()
            time.sleep(seconds)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                connection.close()
