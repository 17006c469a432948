# SPDX-License-Identifier: Apache-2.0
"""Sweep a bundle's files of events: all that can be checked of one file alone, at full speed.

A file in which everything is as it should be gives a ``Swept``; one in which anything at all is
out of the ordinary gives None, and is then gone through event by event, which also finds the words
for it. So a sweep may refuse what is sound but never passes what is not. Files are swept by several
processes where the system can fork; no more results wait than there are processes, so memory does
not grow with the log.
"""

import hashlib
import os
import re
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from services.common.integrity import tiles
from services.common.integrity.merkle import HASH_BYTES

JOBS_MAX: Final = 8
LINE_MAX: Final = 200_000
_PACKED_BYTES: Final = 64 * 1024
_BLOCK_BYTES: Final = 1024 * 1024
_GZIP: Final = 31  # window bits that tell zlib of gzip's head and checksum
_START, _STREAM, _LOG_ID = b'{"content":', b',"stream":"', b',"log_id":'
_TAIL: Final = re.compile(
    rb',"stream":"([^"\\]*)","subject":(?:null|"[^"\\]*"),"type":"[^"\\]*"'
    rb',"version":([1-9][0-9]{0,17})\}'
    rb',"position":([1-9][0-9]{0,17}),"recorded_at":([1-9][0-9]{0,17})\}'
)
"""Numbers of at most 18 digits have 64 bits. Names with escapes are left to the slow way."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one file of events holds: dense positions, versions in order, time that never falls.

    Attributes:
        first: its first position.
        events: how many.
        first_us: recorded_at of the first.
        last_us: recorded_at of the last.
        leaves: their leaf hashes, one behind the other; the tiles have the same.
        begun: first version of each stream that does not begin here.
        versions: last version of each stream.
    """

    first: int
    events: int
    first_us: int
    last_us: int
    leaves: bytes
    begun: dict[bytes, int]
    versions: dict[bytes, int]


class _OddError(Exception):
    """Something is not as it should be; the slow way says what."""


def sweep_all(
    folder: Path, names: Sequence[str], log_id: int, size: int, *, jobs: int
) -> Iterator[Swept | None]:
    """Yield the sweep of each file, in order.

    A process that dies leaves its files to the slow way.
    """
    jobs = min(jobs, len(names), JOBS_MAX)
    if jobs <= 1 or sys.platform != "linux":
        yield from (sweep(folder, name, log_id, size) for name in names)
        return
    waiting = deque[Future[Swept | None]]()
    done = 0
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        try:
            for name in names:
                waiting.append(pool.submit(sweep, folder, name, log_id, size))
                if len(waiting) > jobs:
                    yield waiting.popleft().result()
                    done += 1
            while waiting:
                yield waiting.popleft().result()
                done += 1
        except BrokenProcessPool:
            yield from [None] * (len(names) - done)


def jobs_here() -> int:
    """Return how many processes this machine has processors for."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def sweep(folder: Path, name: str, log_id: int, size: int) -> Swept | None:
    """Check one file of a bundle whose log has ``size`` events, with its tiles and entries."""
    try:
        found, entries = _events(_lines(folder / name), b"%d," % log_id)
        for path, one, wanted in (
            (partial(tiles.tile_path, 0), HASH_BYTES, found.leaves),
            (tiles.entries_path, tiles.BUNDLED_BYTES, entries),
        ):
            if _held(folder, found, size, path, one) != wanted:
                return None
    except (_OddError, OSError, ValueError, zlib.error):
        return None
    return found


def _lines(path: Path) -> Iterator[list[bytes]]:
    """Yield whole lines without their ends, some at a time."""
    rest, unpack = b"", zlib.decompressobj(_GZIP)
    with path.open("rb") as stream:
        while packed := stream.read(_PACKED_BYTES):
            while packed:
                lines = (rest + unpack.decompress(packed, _BLOCK_BYTES)).split(b"\n")
                packed, rest = unpack.unconsumed_tail, lines.pop()
                if len(rest) >= LINE_MAX:
                    raise _OddError
                yield lines
    if not unpack.eof or unpack.unused_data or rest:
        raise _OddError


def _events(parts: Iterator[list[bytes]], log: bytes) -> tuple[Swept, bytes]:
    """Hash and order all events of a file; this loop is what a verification's speed is."""
    sha256, tail, head = hashlib.sha256, _TAIL.fullmatch, len(_START)
    begun, versions = dict[bytes, int](), dict[bytes, int]()
    leaves, entries, places, times = list[bytes](), list[bytes](), list[bytes](), list[bytes]()
    said = moment = b""
    for lines in parts:
        for line in lines:
            at = line.rindex(_STREAM)
            found = tail(line, at)
            if found is None or not line.startswith(_START) or len(line) >= LINE_MAX:
                raise _OddError
            if not line.startswith(log, line.rindex(_LOG_ID, 0, at) + len(_LOG_ID)):
                raise _OddError
            stream, version, place, recorded = found.groups()
            number = int(version)
            known = versions.get(stream)
            if known is None:
                begun[stream] = number
            elif number != known + 1:
                raise _OddError
            versions[stream] = number
            if recorded != said:
                said, moment = recorded, int(recorded).to_bytes(8)
                times.append(recorded)
            places.append(place)
            entry = sha256(line[head : found.end(2) + 1]).digest() + moment
            leaves.append(sha256(b"\x00" + entry).digest())
            entries.append(entry)
    first, *_ = positions = [int(one) for one in places]  # no event at all: ValueError
    moments = [int(one) for one in times]
    if positions != list(range(first, first + len(places))) or moments != sorted(moments):
        raise _OddError
    later = {one: at for one, at in begun.items() if at != 1}
    swept = Swept(first, len(places), moments[0], moments[-1], b"".join(leaves), later, versions)
    return swept, tiles.bundle(entries)


def _held(
    folder: Path, found: Swept, size: int, path: Callable[[int, int], str], one_bytes: int
) -> bytes:
    """Return what the tiles or entry bundles of a bundle hold for the events ``found``."""
    low, high = found.first - 1, found.first - 1 + found.events
    if high > size:
        raise _OddError
    parts = []
    for tile in range(low // tiles.WIDTH, (high - 1) // tiles.WIDTH + 1):
        start = tile * tiles.WIDTH
        content = (folder / path(tile, min(tiles.WIDTH, size - start))).read_bytes()
        begin, end = max(low - start, 0), min(high - start, tiles.WIDTH)
        parts.append(content[begin * one_bytes : end * one_bytes])
    return b"".join(parts)
