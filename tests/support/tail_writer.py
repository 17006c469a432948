# SPDX-License-Identifier: Apache-2.0
"""A process of writers: appends from several threads until it has appended enough, prints count."""

import sys
import threading
import uuid

from services.common.errors import Conflict
from services.common.eventlog.postgres import PostgresLog
from tests.support.events import request


def main(url: str, threads: int, each: int) -> None:
    """Append ``each`` events from each of ``threads`` threads, some on shared streams."""
    log = PostgresLog(url, 93)
    shared = [f"dossier-{uuid.uuid4()}" for _ in range(3)]
    conflicts = [0] * threads

    def write(place: int) -> None:
        done = 0
        while done < each:
            count = 1 + done % 3
            stream = shared[done % 3] if done % 7 == 0 else f"dossier-{uuid.uuid4()}"
            expected = log.stream_version(stream) if stream in shared else 0
            try:
                log.append(request((stream, expected, count)))
            except Conflict:
                conflicts[place] += 1
                continue
            done += count

    workers = [threading.Thread(target=write, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    log.close()
    print(sum(conflicts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
