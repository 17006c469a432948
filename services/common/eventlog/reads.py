# SPDX-License-Identifier: Apache-2.0
"""The questions that the log is asked.

Those that name positions or streams go through the index one by one, whatever the planner knows:
each is looked up in a ``LATERAL`` of its own, which ``LIMIT`` or ``OFFSET 0`` keeps from becoming a
join. Left to itself the planner reads the whole partition, or the whole inbox, where it has no
statistics yet or guesses that many names are as much as all. The names come out of a sub-select, so
that their number is unknown and one plan serves every call; planning over all partitions costs more
than the look-ups.
"""

from typing import Final, LiteralString

from services.common.eventlog.row import COLUMNS

_PICKED: Final[LiteralString] = f"SELECT {COLUMNS} FROM eventlog.event WHERE log_id ="  # noqa: S608 - constants only
_AT: Final[LiteralString] = (
    "FROM unnest((SELECT %(positions)s::bigint[])) AS p(at) CROSS JOIN LATERAL ("
    f"{_PICKED} %(log)s AND pos = p.at LIMIT 1) AS e"
)
AT_POSITIONS: Final[LiteralString] = f"SELECT e.* {_AT} ORDER BY pos"
"""``log`` and ``positions``, each once."""
OF_STREAMS: Final[LiteralString] = (
    "SELECT e.* FROM unnest((SELECT %s::text[])) AS s(name) CROSS JOIN LATERAL ("  # noqa: S608 - constants only
    f"{_PICKED} %s AND stream = s.name ORDER BY version OFFSET 0) AS e"
)
"""The streams, each once, and the log; a stream's events are in their order."""
WITH_MARKS: Final[LiteralString] = (
    "SELECT e.*, h.pos IS NOT NULL OR e.pos <= coalesce((SELECT done_through FROM eventlog.reactor"  # noqa: S608 - constants only
    f" WHERE log_id = %(log)s AND reactor = %(reactor)s), 0) {_AT} LEFT JOIN LATERAL ("
    "SELECT pos FROM eventlog.handled WHERE log_id = %(log)s AND reactor = %(reactor)s"
    " AND pos = p.at LIMIT 1) AS h ON true ORDER BY e.pos"
)
"""As ``AT_POSITIONS``, with whether ``reactor`` has handled it."""
