# SPDX-License-Identifier: Apache-2.0
"""Judge a log by the diary of its writers, with plain SQL and none of the code that wrote it.

``python -m tests.support.log_judge URL LOG_ID DIARY`` prints each thing that is wrong; exit code 1
if there is any.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import psycopg

_EVENTS = (
    "select pos, stream, version, recorded_at, event_id from eventlog.event"
    " where log_id = %s order by pos"
)


def wrong_in_order(events: list[tuple[Any, ...]], head: int, heads: dict[str, int]) -> list[str]:
    """Dense positions, contiguous versions, time that never falls, ids used once."""
    wrong = []
    if [event[0] for event in events] != list(range(1, head + 1)):
        wrong.append(f"positions are not 1 to {head}")
    versions: Counter[str] = Counter()
    for position, stream, version, _, _ in events:
        versions[stream] += 1
        if version != versions[stream]:
            wrong.append(f"{position}: {stream} has version {version}, not {versions[stream]}")
    if dict(versions) != heads:
        wrong.append("the streams' heads are not their last versions")
    times = [event[3] for event in events]
    if times != sorted(times):
        wrong.append("recorded_at falls")
    if len({event[4] for event in events}) != len(events):
        wrong.append("an event's id is used twice")
    return wrong


def wrong_by_diary(
    diary: list[dict[str, Any]], events: list[tuple[Any, ...]], keys: list[tuple[Any, ...]]
) -> list[str]:
    """Everything asked is there once, where every answer said it is; nothing else is there."""
    asked = {line["key"]: line for line in diary if line["what"] == "asked"}
    wrong = [f"{line['key']}: {line['error']}" for line in diary if line["what"] == "failed"]
    answers = defaultdict(set)
    for line in diary:
        if line["what"] == "answered":
            answers[line["key"]].add((line["first"], line["n"]))
    found = {key: (first, n) for key, first, n in keys}
    if found.keys() != asked.keys() or len(keys) != len(found):
        wrong.append(f"{len(asked)} keys were asked for, {len(keys)} are in the log")
    at = {event[0]: (event[1], event[2]) for event in events}
    for key, line in asked.items():
        if answers[key] != {found.get(key)}:
            wrong.append(f"{key}: answered {sorted(answers[key])}, in the log {found.get(key)}")
            continue
        first, n = found[key]
        numbers = range(line["expected"] + 1, line["expected"] + line["count"] + 1)
        wanted = sorted([(line["stream"], number) for number in numbers] + [(f"dossier-{key}", 1)])
        if sorted(at.get(p, ("", 0)) for p in range(first, first + n)) != wanted:
            wrong.append(f"{key}: other events stand where its own should")
    if len(events) != sum(n for _, n in found.values()):
        wrong.append("there are events of no request")
    return wrong


def main(url: str, log_id: str, diary_path: str) -> int:
    """Judge, print; returns the exit code."""
    lines = Path(diary_path).read_text(encoding="utf-8").splitlines()
    with psycopg.connect(url) as connection:
        one = (int(log_id),)
        events = connection.execute(_EVENTS, one).fetchall()
        row = connection.execute("select pos from eventlog.log_head where log_id = %s", one)
        head = row.fetchall()[0][0]
        heads = connection.execute(
            "select stream, version from eventlog.stream_head where log_id = %s", one
        ).fetchall()
        keys = connection.execute(
            "select key, first_pos, n from eventlog.append_key where log_id = %s", one
        ).fetchall()
    wrong = wrong_in_order(events, head, dict(heads))
    wrong += wrong_by_diary([json.loads(line) for line in lines], events, keys)
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
