# SPDX-License-Identifier: Apache-2.0
"""A database session that is given up when nothing comes back.

TCP probes and ``tcp_user_timeout`` notice a dead host. A proxy or a service mesh between here and
the server goes on acknowledging for it, so that only the missing answer tells; libpq would wait for
ever, and whoever waits may hold a lock that nobody else gets.
"""

from collections.abc import Generator
from typing import Any, Final, Self

import psycopg

ANSWER_S: Final = 8.0
IDLE_S: Final = 5.0
_OPTIONS: Final = (
    "-c statement_timeout=6000 -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2"
    f" -c tcp_keepalives_count=3 -c tcp_user_timeout=10000 -c idle_session_timeout={IDLE_S:.0f}s"
)


class AnsweredSession(psycopg.Connection[tuple[Any, ...]]):
    """Every round trip ends within ``ANSWER_S``; then the session is closed and an error raised."""

    @classmethod
    def begin(cls, url: str, name: str) -> Self:
        """Open an autocommit session called ``name``.

        The server, too, gives it up: after ``IDLE_S`` without a question, or when the network says
        that nobody is there. Whoever holds a lock with it has to speak more often than that.

        Raises:
            psycopg.OperationalError: no session within five seconds.
        """
        return cls.connect(
            url, autocommit=True, connect_timeout=5,
            options=f"{_OPTIONS} -c application_name={name}",
            keepalives_idle=5, keepalives_interval=2, keepalives_count=3, tcp_user_timeout=10_000,
        )  # fmt: skip

    def wait(
        self,
        gen: Generator[Any, Any, Any],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> Any:
        """See ``psycopg.Connection``; what has no limit of its own gets ours."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, ANSWER_S)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - psycopg is pinned; it has no other name
            self.pgconn.finish()
            raise
