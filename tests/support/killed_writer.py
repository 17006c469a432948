# SPDX-License-Identifier: Apache-2.0
"""A process of writers that keeps a diary, so that it may be killed at any moment.

``python -m tests.support.killed_writer URL LOG_ID DIARY THREADS [finish]``: what is asked goes into
the diary before the log is asked, what is answered after. A new life first asks again what has no
answer. With ``finish`` it asks everything once more, appends nothing new and ends.
"""

import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from services.common.errors import MotCuaError, Unavailable
from services.common.eventlog.postgres import PostgresLog
from tests.support.events import request


class Diary:
    """Lines of JSON; one write each, so a killed writer leaves whole lines."""

    def __init__(self, path: Path) -> None:
        """Open ``path`` and remember what earlier lives asked."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self.asked = [line for line in lines if line["what"] == "asked"]
        self.answered = {line["key"] for line in lines if line["what"] == "answered"}

    def write(self, what: str, **more: object) -> None:
        """Add a line."""
        os.write(self._file, json.dumps({"what": what, **more}).encode() + b"\n")


def ask(log: PostgresLog, diary: Diary, asked: dict[str, Any]) -> None:
    """Ask until there is an answer; every other error than an outage is written down."""
    wanted = request(
        (asked["stream"], asked["expected"], asked["count"]), (f"dossier-{asked['key']}", 0, 1),
        key=asked["key"],
    )  # fmt: skip
    while True:
        try:
            answer = log.append(wanted)
        except Unavailable:
            time.sleep(0.05)
            continue
        except MotCuaError as error:
            diary.write("failed", key=asked["key"], error=repr(error))
            raise
        diary.write("answered", key=asked["key"], first=answer.first_position, n=answer.count)
        return


def write(log: PostgresLog, diary: Diary, stream: str) -> None:
    """Finish what earlier lives began on ``stream``, then append for ever."""
    version = 0
    for asked in [one for one in diary.asked if one["stream"] == stream]:
        if asked["key"] not in diary.answered:
            ask(log, diary, asked)
        version = asked["expected"] + asked["count"]
    while True:
        count = 1 + version % 3
        asked = {"key": str(uuid.uuid4()), "stream": stream, "expected": version, "count": count}
        diary.write("asked", **asked)
        ask(log, diary, asked)
        version += count


def main(url: str, log_id: str, diary_path: str, threads: str, *words: str) -> None:
    """Write until killed, or ask everything again and end."""
    log, diary = PostgresLog(url, int(log_id)), Diary(Path(diary_path))
    if "finish" in words:
        for asked in diary.asked:
            ask(log, diary, asked)
        log.close()
        return
    streams = [f"dossier-writer-{place}" for place in range(int(threads))]
    workers = [threading.Thread(target=write, args=(log, diary, stream)) for stream in streams]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
