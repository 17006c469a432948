# SPDX-License-Identifier: Apache-2.0
"""A row of ``eventlog.event`` as a record; every reader of the table makes its records here."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

from services.common.eventlog.record import RecordedEvent

COLUMNS: Final[LiteralString] = (
    "log_id, pos, event_id, stream, version, type, schema, subject, occurred_at, recorded_at,"
    " data, meta, content_hash, leaf_hash"
)


def event_of(row: Sequence[Any]) -> RecordedEvent:
    """Return the record of a row of ``COLUMNS``, read with ``binary=True``.

    The initializer of a frozen dataclass sets field by field through ``object.__setattr__``, which
    is six times as slow and most of what reading a log would cost; so the fields are put at once.
    """
    event = object.__new__(RecordedEvent)
    fields = event.__dict__
    (
        fields["log_id"], fields["position"], fields["event_id"], fields["stream"],
        fields["version"], fields["type"], fields["schema"], fields["subject"],
        fields["occurred_at_us"], fields["recorded_at_us"], fields["raw_data"],
        fields["raw_meta"], fields["content_hash"], fields["leaf_hash"],
    ) = row  # fmt: skip
    return event
