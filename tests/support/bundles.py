# SPDX-License-Identifier: Apache-2.0
"""Bundles made without a database: sealed as the sealer does, written as an export is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from infra.generating.crowd import said, world_of
from services.common import ids
from services.common.audit.bundling import Exported, Source, content_of, write_bundle
from services.common.canonical import canonical_json
from services.common.eventlog.bulk import Selection
from services.common.eventlog.record import NewEvent, RecordedEvent, content_hash, leaf_hash
from services.common.integrity.merkle import Frontier
from services.common.integrity.notes import Checkpoint, Signer, sign_checkpoint
from tests.support.events import META

LOG_ID = 93
ORIGIN = f"motcua247/{LOG_ID}/1"
SIGNER = Signer(ORIGIN, bytes(range(32)))
KEYS = [SIGNER.verifier]
BEGAN_US = 1_795_400_000_000_000


class Recording:
    """Gives events their places in a log that nobody stores."""

    def __init__(self) -> None:
        self._versions = dict[str, int]()
        self._position = 0

    def record(self, stream: str, event: NewEvent, recorded_at_us: int) -> RecordedEvent:
        """Return ``event`` as the next one of the log and of its stream."""
        self._position += 1
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        event_id = event.event_id or ids.event_id(
            event.occurred_at_us // 1_000, "bundles", stream, version
        )
        bare = RecordedEvent(
            log_id=LOG_ID, position=self._position, event_id=event_id, stream=stream,
            version=version, type=event.type, schema=event.schema, subject=event.subject,
            occurred_at_us=event.occurred_at_us, recorded_at_us=recorded_at_us,
            raw_data=event.data, raw_meta=event.meta, content_hash=b"", leaf_hash=b"",
        )  # fmt: skip
        return rehashed(bare)

    def jump(self, version: int) -> None:
        """Let every stream go on behind ``version``, as if it were there."""
        self._versions = dict.fromkeys(self._versions, version)


def rehashed(event: RecordedEvent) -> RecordedEvent:
    """Return ``event`` with the hashes of what it is."""
    digest = content_hash(content_of(event))
    return replace(event, content_hash=digest, leaf_hash=leaf_hash(digest, event.recorded_at_us))


def plain(count: int, *, per_stream: int = 6) -> Iterator[RecordedEvent]:
    """Yield so many events as a busy log has them: dossiers mixed, quotes and Vietnamese inside."""
    recording = Recording()
    for number in range(count):
        # Forty dossiers at a time, so that versions of a stream stand apart.
        dossier = number // (40 * per_stream) * 40 + number % 40
        subject = str(UUID(int=dossier))
        event = NewEvent(
            type="dossier.reported", schema=1, meta=META, subject=subject,
            data=canonical_json({"code": f"H30-{dossier}", "status": 4, "note": 'Đã "nhận" \\ hồ sơ',
                                 "attempt": number, "stream": "dossier-x", "version": 1}),
            occurred_at_us=BEGAN_US + number * 997,
        )  # fmt: skip
        yield recording.record(f"dossier-{subject}", event, BEGAN_US + number // 10 * 10_000)


def lived(seed: int, count: int) -> Iterator[RecordedEvent]:
    """Yield ``count`` events, or a few more, of months at several machines."""
    recording = Recording()
    for moment_us, request in said(world_of(seed, count), count):
        for append in request.appends:
            for event in append.events:
                yield recording.record(append.stream, event, moment_us)


def sealed(
    folder: Path, events: Callable[[], Iterable[RecordedEvent]], *, each: int = 1_000,
    columns: bool = False,
) -> Exported:  # fmt: skip
    """Write a bundle of ``events()``, which is asked twice, with a checkpoint every ``each``."""
    frontier, notes = Frontier(), list[tuple[int, str]]()

    def seal() -> None:
        size = frontier.size
        if size and (not notes or notes[-1][0] < size):
            checkpoint = Checkpoint(origin=ORIGIN, size=size, root=frontier.root())
            notes.append((size, str(sign_checkpoint(checkpoint, [SIGNER]))))

    for event in events():
        frontier.append(event.leaf_hash)
        if frontier.size % each == 0:
            seal()
    seal()
    return bundled(folder, events(), notes, columns=columns)


def bundled(
    folder: Path, events: Iterable[RecordedEvent], notes: Sequence[tuple[int, str]],
    *, columns: bool = False,
) -> Exported:  # fmt: skip
    """Write a bundle of ``events`` under ``notes``, as many as the size of the last one says."""
    told = iter(events)

    def read(selection: Selection) -> Iterator[RecordedEvent]:
        assert selection.through is not None
        for _ in range(selection.after, selection.through):
            yield next(told)

    source = Source(log_id=LOG_ID, notes=notes, read=read)
    return write_bundle(source, folder, columns=columns)
