# SPDX-License-Identifier: Apache-2.0
"""The log as the handlers of one batch see it: read ahead, and never older than their decisions.

Whole streams are read once for the batch. A read that touches what the batch has decided but not
yet committed first commits it, so every decision is the one that handling one by one would make.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent


class BatchView:
    """Stands in for ``EventLog`` in handlers; lives as long as its batch."""

    def __init__(self, log: EventLog, before_read: Callable[[str | None], None]) -> None:
        """Bind.

        Args:
            log: the log itself.
            before_read: is told the stream that is about to be read, None for any other question.
        """
        self._log = log
        self._before_read = before_read
        self._whole: dict[str, Sequence[RecordedEvent]] = {}

    def fetch(self, streams: Iterable[str]) -> None:
        """Read ``streams`` whole, in one round trip."""
        wanted = list(dict.fromkeys(streams))
        if wanted:
            self._whole.update(self._log.read_streams(wanted))

    def forget(self, streams: Iterable[str]) -> None:
        """Read ``streams`` anew when they are asked for again."""
        for stream in streams:
            self._whole.pop(stream, None)

    def forget_all(self) -> None:
        """Read everything anew: another writer was faster."""
        self._whole.clear()

    def read_stream(
        self, stream: str, *, after_version: int = 0, limit: int = 10_000
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_stream``."""
        self._before_read(stream)
        whole = self._whole.get(stream)
        if whole is not None:
            return whole[max(after_version, 0) :][:limit]
        events = self._log.read_stream(stream, after_version=after_version, limit=limit)
        if after_version == 0 and len(events) < limit:
            self._whole[stream] = events
        return events

    def read_streams(self, streams: Sequence[str]) -> Mapping[str, Sequence[RecordedEvent]]:
        """See ``EventLog.read_streams``."""
        for stream in streams:
            self._before_read(stream)
        self.fetch(stream for stream in streams if stream not in self._whole)
        return {stream: self._whole[stream] for stream in streams}

    def stream_version(self, stream: str) -> int:
        """See ``EventLog.stream_version``."""
        self._before_read(stream)
        whole = self._whole.get(stream)
        return self._log.stream_version(stream) if whole is None else len(whole)

    def __getattr__(self, name: str) -> Any:
        """Ask the log itself, after everything decided so far."""
        self._before_read(None)
        return getattr(self._log, name)
