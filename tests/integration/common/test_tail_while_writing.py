# SPDX-License-Identifier: Apache-2.0
"""Readers that tail the log while many writers append: the test that ordering designs fail."""

import subprocess
import sys
import threading
from collections import Counter

from services.common.eventlog.record import RecordedEvent
from tests.support.database import Database

WRITERS, PROCESSES, EACH = 4, 2, 2_550


def test_tailing_readers_miss_nothing(database: Database) -> None:
    """8 writers in 2 processes, 2 tailing readers, 20,000 events and more: 0 missed, 0 holes."""
    seen: list[list[RecordedEvent]] = [[], []]
    logs = [database.log("motcua_audit"), database.log("motcua_intake")]

    def tail(place: int) -> None:
        for event in logs[place].subscribe(0, stop_after_idle_s=15):
            seen[place].append(event)

    readers = [threading.Thread(target=tail, args=(place,)) for place in range(2)]
    for reader in readers:
        reader.start()
    command = [sys.executable, "-m", "tests.support.tail_writer", database.url_for("motcua_intake")]
    writers = [subprocess.Popen([*command, str(WRITERS), str(EACH)]) for _ in range(PROCESSES)]
    for writer in writers:
        assert writer.wait(150) == 0
    for reader in readers:
        reader.join(60)
    head = logs[0].head()
    for log in logs:
        log.close()
    assert head >= 20_000
    for events in seen:
        assert [event.position for event in events] == list(range(1, head + 1))
        times = [event.recorded_at_us for event in events]
        assert times == sorted(times)
        versions: Counter[str] = Counter()
        for event in events:
            versions[event.stream] += 1
            assert event.version == versions[event.stream]
