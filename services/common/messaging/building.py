# SPDX-License-Identifier: Apache-2.0
"""Folds a log in memory, part by part in processes of their own, and hands over the rows.

A part is what one stream or one dossier says, so parts need no merging. A child only reads and
folds; it writes to nothing but its pipe, so whatever is killed leaves nothing half done.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, takewhile
from multiprocessing import connection as pipes
from multiprocessing import get_context
from typing import Any, Final, Literal, Protocol, cast, runtime_checkable

from services.common.errors import Unavailable
from services.common.eventlog.bulk import Segment, Selection
from services.common.eventlog.record import RecordedEvent
from services.common.messaging.projector import Projection
from services.common.messaging.rows import Fold

Progress = Callable[[int, int], None]
"""``progress(done, total)`` in positions."""
EVENTS_PER_SEGMENT: Final = 500_000
SEGMENTS_MAX: Final = 256
SILENT_S: Final = 300.0
_CHUNK: Final = 5_000
_TOLD_EVERY: Final = 5_000


@runtime_checkable
class BulkProjection(Projection, Protocol):
    """A projection that also folds in memory.

    Attributes:
        segment_by: ``stream`` or ``subject`` when no row follows from more than one of them; None
            when the fold needs the whole log.
    """

    segment_by: Literal["stream", "subject"] | None

    def in_memory(self) -> Fold:
        """Return an empty fold."""
        ...


class Source(Protocol):
    """Where the events come from; goes to a child, so it can be pickled."""

    def read(self, selection: Selection) -> Iterator[RecordedEvent]:
        """Yield what ``selection`` names, in position order."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What a child has to do.

    Attributes:
        projection: whose rows are made.
        source: where its events come from.
        through: up to and with this position.
        segment: only this part of the log; None for all of it.
        until_us: up to and with what was recorded then, microseconds; None for no such end.
    """

    projection: BulkProjection
    source: Source
    through: int
    segment: Segment | None
    until_us: int | None = None

    def read(self) -> Iterator[RecordedEvent]:
        """Yield the part's events."""
        selection = Selection(
            through=self.through, types=self.projection.types or None, segment=self.segment
        )
        events, until_us = self.source.read(selection), self.until_us
        if until_us is None:
            return events
        return takewhile(lambda event: event.recorded_at_us <= until_us, events)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a table."""

    table: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def parts_of(
    projection: BulkProjection, source: Source, through: int, *, each: int,
    until_us: int | None = None, least: int = 1,
) -> list[Part]:  # fmt: skip
    """Return how the log up to ``through`` is divided: about ``each`` events a part.

    At least ``least`` parts where the projection can be divided at all.
    """
    by = projection.segment_by
    if by is None:
        return [Part(projection, source, through, None, until_us)]
    count = min(SEGMENTS_MAX, max(least, math.ceil(through / each)))
    if count == 1:
        return [Part(projection, source, through, None, until_us)]
    return [
        Part(projection, source, through, Segment(by, number, count), until_us)
        for number in range(count)
    ]


def build(parts: Sequence[Part], workers: int, progress: Progress) -> Iterator[Chunk]:
    """Fold all ``parts``, at most ``workers`` at once; yields rows as they become ready.

    One part, or one worker, is folded in this process: a child needs a second to start.

    Raises:
        EventsArchived: a file of the archive is needed; asked here, before any child is.
        Unavailable: the log is down, or a child died or was silent for five minutes.
    """
    if workers == 1 or len(parts) == 1:
        yield from _here(parts, progress)
        return
    _require_archive(parts)
    context = get_context("spawn")
    waiting, running = list(parts), dict[Any, Any]()
    done, total = dict[Any, int](), sum(part.through for part in parts)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                ours, theirs = context.Pipe(duplex=False)
                child = context.Process(target=_fold, args=(waiting.pop(), theirs), daemon=True)
                child.start()
                theirs.close()
                running[ours] = child
            ready = pipes.wait(list(running), SILENT_S)
            if not ready:
                raise Unavailable("rebuild", f"no child said anything for {SILENT_S:.0f} s")
            for pipe in ready:
                said = _heard(cast("pipes.Connection[Any, Any]", pipe))
                if isinstance(said, Chunk):
                    yield said
                elif isinstance(said, int):
                    done[pipe] = said
                    progress(sum(done.values()), total)
                elif said is None:
                    running.pop(pipe).join(SILENT_S)
                else:
                    raise Unavailable("rebuild", str(said))
    finally:
        for child in running.values():
            child.kill()
            child.join(SILENT_S)


def _require_archive(parts: Sequence[Part]) -> None:
    """Read one event, so that EventsArchived is raised itself; the rest is for the children."""
    with suppress(Unavailable):
        for part in parts[:1]:
            next(iter(part.read()), None)


def workers_here() -> int:
    """Return how many children this machine takes."""
    return len(os.sched_getaffinity(0))


def _here(parts: Sequence[Part], progress: Progress) -> Iterator[Chunk]:
    """Fold part by part in this process."""
    total = sum(part.through for part in parts)
    for number, part in enumerate(parts):
        for said in folded(part):
            if isinstance(said, Chunk):
                yield said
            else:
                progress(number * part.through + said, total)


def _heard(pipe: "pipes.Connection[Any, Any]") -> object:
    try:
        said: object = pipe.recv()
    except EOFError:
        return "a child died"
    return said


def folded(part: Part) -> Iterator[int | Chunk]:
    """Fold one part here; yields positions reached, then rows."""
    fold, told = part.projection.in_memory(), 0
    for event in part.read():
        fold.fold(event)
        if event.position - told >= _TOLD_EVERY:
            told = event.position
            yield told
    yield part.through
    for table, columns, rows in fold.rows():
        while chunk := list(islice(rows, _CHUNK)):
            yield Chunk(table, columns, chunk)


def _fold(part: Part, pipe: "pipes.Connection[Any, Any]") -> None:
    """Fold one part and send its rows, then None; runs in a child."""
    try:
        for said in folded(part):
            pipe.send(said)
        pipe.send(None)
    except BrokenPipeError:
        return  # nobody waits for it any more
    except Exception as error:  # noqa: BLE001 - the parent says it
        pipe.send(f"{type(error).__name__}: {error}")
