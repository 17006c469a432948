# SPDX-License-Identifier: Apache-2.0
"""The fleet as a table: one row for each machine."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from services.common.eventlog.record import RecordedEvent
from services.common.messaging.rows import RowChange, RowProjection

_STANDING: Final = {
    "config.machine_enrolled": "may_speak",
    "config.machine_revoked": "revoked",
    "config.machine_quarantined": "quarantined",
}


class MachineProjection(RowProjection):
    """Serial, epoch, standing and the last journal record of every machine."""

    name = "kiosk_sync.fleet"
    version = 1
    tables: tuple[str, ...] = ("machine",)
    types: tuple[str, ...] = ()
    ddl = """
        CREATE TABLE IF NOT EXISTS kiosk_sync.machine (
            serial text PRIMARY KEY,
            epoch integer NOT NULL DEFAULT 0,
            standing text NOT NULL DEFAULT 'unknown',
            journal_seq bigint NOT NULL DEFAULT 0,
            journal_type text,
            last_seen bigint NOT NULL DEFAULT 0
        )
    """

    vectors: ClassVar[Mapping[str, str]] = {
        "machine": """
        WITH known AS (
            SELECT substr(stream, 8) AS serial, min(position) AS since,
                coalesce(max(CAST(data->>'epoch' AS bigint)), 0) AS epoch,
                arg_max(type, position) AS standing
            FROM event
            WHERE type IN ('config.machine_enrolled', 'config.machine_revoked',
                'config.machine_quarantined') AND starts_with(stream, 'config-')
            GROUP BY serial
        ), journal AS (
            SELECT split_part(stream, '-', 2) AS serial, max(position) AS position,
                arg_max(version, position) AS seq, arg_max(type, position) AS type,
                arg_max(recorded_us, position) AS seen
            FROM event WHERE starts_with(stream, 'kiosk-') GROUP BY serial
        )
        SELECT known.serial, known.epoch,
            CASE standing WHEN 'config.machine_enrolled' THEN 'may_speak'
                WHEN 'config.machine_revoked' THEN 'revoked' ELSE 'quarantined' END AS standing,
            coalesce(journal.seq, 0) AS journal_seq, journal.type AS journal_type,
            coalesce(journal.seen, 0) AS last_seen
        FROM known LEFT JOIN journal ON journal.serial = known.serial AND position > since
    """
    }

    def changes(self, event: RecordedEvent) -> Iterator[RowChange]:
        """Return what one event does; others than journals and enrolments change nothing."""
        category, _, rest = event.stream.partition("-")
        if category == "config" and event.type in _STANDING:
            epoch = event.data.get("epoch")
            at = epoch if isinstance(epoch, int) else 0
            standing = _STANDING[event.type]
            yield RowChange(
                table="machine", column="serial", key=rest,
                make={
                    "epoch": at, "standing": standing, "journal_seq": 0, "journal_type": None,
                    "last_seen": 0,
                },
                put={"standing": standing}, least={"epoch": at},
            )  # fmt: skip
        elif category == "kiosk":
            yield RowChange(
                table="machine", column="serial", key=rest.partition("-")[0],
                put={
                    "journal_seq": event.version, "journal_type": event.type,
                    "last_seen": event.recorded_at_us,
                },
            )  # fmt: skip
