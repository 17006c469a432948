# SPDX-License-Identifier: Apache-2.0
"""Take a machine's journal into the log, record for record, bytes unchanged (ADR-0005).

An acknowledgement means: committed, and this is the next sequence and the hash of the last record
held. Sent again with other batch borders, what is there already is compared by hash and skipped;
an unequal hash is a fork and quarantines the machine. A well-signed, well-chained record is never
refused for a business reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from services.common import contracts
from services.common.canonical import Json, canonical_json
from services.common.errors import Conflict, Malformed, Problem, Refused
from services.common.eventlog.port import EventLog, KeyStore
from services.common.eventlog.record import (
    AppendRequest,
    NewEvent,
    RecordedEvent,
    StreamAppend,
)
from services.common.eventlog.recording import Cause, Recorder
from services.common.personal import CannotOpenError, Sealed, unbox_key
from services.kiosk_sync import protocol
from services.kiosk_sync.application.commands import machine_of, order_machine
from services.kiosk_sync.domain.machine import MAY_SPEAK, Machine, QuarantineMachine

_TRIES: Final = 4


class GapError(Exception):
    """The upload begins after the next sequence; says where the centre stands."""

    def __init__(self, next_seq: int, head: str) -> None:
        """Carry the next sequence and the hash of the last record held."""
        super().__init__(f"next is {next_seq}")
        self.next_seq = next_seq
        self.head = head


@dataclass(frozen=True, slots=True)
class Position:
    """Where the centre stands with a machine's journal."""

    next_seq: int
    head: str


class Journals:
    """Journals of machines in the log."""

    def __init__(self, recorder: Recorder, keys: KeyStore, centre_box: X25519PrivateKey) -> None:
        """Bind the log's recorder, the key store and the centre's key for boxed data keys."""
        self._recorder = recorder
        self._log: EventLog = recorder.log
        self._keys = keys
        self._centre_box = centre_box

    def authorise(self, serial: str, epoch: int, tls_fingerprint: str) -> Machine:
        """Return the machine if it may speak now.

        Raises:
            Refused: ``machine_unknown`` (also for another certificate), ``machine_revoked``,
                ``machine_quarantined``, ``epoch_closed``.
        """
        machine = machine_of(self._log, serial)
        if machine.version == 0 or machine.tls_fingerprint != tls_fingerprint:
            raise _refused("machine_unknown", "this machine is not enrolled", "máy chưa ghi danh")
        if machine.standing != MAY_SPEAK:
            raise _refused(
                f"machine_{machine.standing}",
                f"this machine is {machine.standing}",
                "máy đang bị thu hồi hoặc cách ly",
            )
        if machine.epoch != epoch:
            raise _refused("epoch_closed", f"the epoch is {machine.epoch}", "kỳ của máy đã đóng")
        return machine

    def position(self, serial: str, epoch: int) -> Position:
        """Return the next sequence and the head hash of what the log holds."""
        stream = protocol.stream(serial, epoch)
        version = self._log.stream_version(stream)
        if version == 0:
            return Position(1, protocol.genesis(serial, epoch))
        last = self._log.read_stream(stream, after_version=version - 1, limit=1)[0]
        return Position(version + 1, record_of(last).hash(serial, epoch))

    def take(self, upload: protocol.Upload, tls_fingerprint: str) -> Position:
        """Commit what is new in ``upload`` and say where the journal stands.

        Raises:
            Refused: the machine may not speak, or ``forked`` (quarantined now).
            Malformed: signature, ciphertexts or keys do not belong to the records.
            GapError: records before the upload's first are missing.
            Unavailable: log or key database down; nothing was taken, send again.
        """
        machine = self.authorise(upload.serial, upload.epoch, tls_fingerprint)
        if not protocol.verify_batch(upload, bytes.fromhex(machine.sign_key)):
            raise _malformed("header.sig", "not signed by this machine", "chữ ký không hợp lệ")
        sealed = self._sealed(upload)
        last: Conflict | None = None
        for _ in range(_TRIES):
            position = self.position(upload.serial, upload.epoch)
            fresh = self._fresh(upload, position)
            if not fresh:
                return position
            self._store_keys(upload)
            try:
                self._append(upload, fresh, sealed)
            except Conflict as conflict:
                last = conflict  # another upload of the same machine won; compare again
                continue
            return Position(upload.records[-1].seq + 1, upload.head)
        assert last is not None, "the loop ends only after a conflict"
        raise last

    def _fresh(self, upload: protocol.Upload, position: Position) -> tuple[protocol.Record, ...]:
        """Return the records the log does not hold; quarantine the machine on a fork."""
        first = upload.records[0]
        if first.seq > position.next_seq:
            raise GapError(position.next_seq, position.head)
        known = self._log.read_stream(
            protocol.stream(upload.serial, upload.epoch),
            after_version=max(first.seq - 2, 0),
            limit=len(upload.records) + 1,
        )
        hashes = {e.version: record_of(e).hash(upload.serial, upload.epoch) for e in known}
        hashes[0] = protocol.genesis(upload.serial, upload.epoch)
        if first.prev != hashes[first.seq - 1]:
            self._quarantine(upload, first.seq)
        for record in upload.records:
            held = hashes.get(record.seq)
            if held is not None and held != record.hash(upload.serial, upload.epoch):
                self._quarantine(upload, record.seq)
        return tuple(record for record in upload.records if record.seq >= position.next_seq)

    def _quarantine(self, upload: protocol.Upload, seq: int) -> None:
        order_machine(
            self._recorder,
            upload.serial,
            QuarantineMachine(epoch=upload.epoch, seq=seq, reason="fork"),
            source="kiosk_sync.quarantine",
            key=f"{upload.serial}/{upload.epoch}/{seq}",
            cause=Cause(correlation_id=upload.records[0].session, actor="service:kiosk_sync"),
        )
        raise _refused(
            "forked", f"record {seq} differs from the one held", "nhật ký máy bị phân nhánh"
        )

    def _sealed(self, upload: protocol.Upload) -> dict[str, dict[str, Sealed]]:
        """Return the ciphertexts by event and field, each matching its stub in the record."""
        stubs = {
            str(protocol.event_id(upload.serial, upload.epoch, r.seq, r.occurred_at_us)): r.data
            for r in upload.records
        }
        found: dict[str, dict[str, Sealed]] = {}
        for place, parcel in enumerate(upload.parcels):
            at = f"parcels[{place}]"
            try:
                sealed = Sealed(
                    UUID(parcel.key_id),
                    bytes.fromhex(parcel.blob),
                    bytes.fromhex(parcel.commitment),
                )
            except ValueError as error:
                raise _malformed(at, str(error), "dữ liệu mã hóa hỏng") from error
            stub = stubs.get(parcel.event_id, {}).get(parcel.field)
            if not isinstance(stub, dict) or not sealed.matches(stub):
                raise _malformed(at, "does not match its record", "không khớp với bản ghi")
            found.setdefault(parcel.event_id, {})[parcel.field] = sealed
        return found

    def _store_keys(self, upload: protocol.Upload) -> None:
        for place, boxed in enumerate(upload.keys):
            try:
                key = unbox_key(
                    bytes.fromhex(boxed.box), UUID(boxed.key_id), boxed.purpose, self._centre_box
                )
            except (CannotOpenError, ValueError) as error:
                raise _malformed(f"keys[{place}]", str(error), "khóa dữ liệu hỏng") from error
            self._keys.put(key.key_id, key.purpose, key.secret)

    def _append(
        self,
        upload: protocol.Upload,
        fresh: Sequence[protocol.Record],
        sealed: dict[str, dict[str, Sealed]],
    ) -> None:
        serial, epoch = upload.serial, upload.epoch
        events = []
        for place, record in enumerate(fresh):
            identifier = protocol.event_id(serial, epoch, record.seq, record.occurred_at_us)
            personal = sealed.get(str(identifier), {})
            _require_parcels(record, personal, f"records[{place}]")
            events.append(
                NewEvent(
                    type=record.type,
                    schema=record.schema,
                    data=canonical_json(record.data),
                    meta=_meta(serial, record),
                    occurred_at_us=record.occurred_at_us,
                    subject=record.subject,
                    personal=personal,
                    event_id=identifier,
                )
            )
        key = f"{fresh[0].seq}-{fresh[-1].seq}-{upload.head}"
        source = protocol.source(serial, epoch)
        self._log.append(
            AppendRequest(
                source=source,
                key=key,
                digest=self._recorder.digest(source, key, upload.head),
                cause_ms=fresh[0].occurred_at_us // 1000,
                appends=(
                    StreamAppend(
                        stream=protocol.stream(serial, epoch),
                        expected_version=fresh[0].seq - 1,
                        events=tuple(events),
                    ),
                ),
            )
        )


def record_of(event: RecordedEvent) -> protocol.Record:
    """Rebuild the machine's record from the log, exactly as it was hashed at the machine."""
    journal = event.meta["journal"]
    assert isinstance(journal, dict), "written by _meta"
    clock, prev = journal["clock"], journal["prev"]
    assert isinstance(clock, dict), "written by _meta"
    return protocol.Record(
        seq=event.version,
        type=event.type,
        schema=event.schema,
        occurred_at_us=event.occurred_at_us,
        clock=clock,
        session=event.correlation_id,
        subject=event.subject,
        data=event.data,
        prev=str(prev),
    )


def _meta(serial: str, record: protocol.Record) -> bytes:
    meta: dict[str, Json] = {
        "actor": f"machine:{serial}",
        "correlation_id": record.session,
        "journal": {"clock": record.clock, "prev": record.prev},
    }
    return canonical_json(meta)


def _require_parcels(record: protocol.Record, personal: dict[str, Sealed], at: str) -> None:
    """A personal field without its ciphertext would be lost for ever, so it is not taken."""
    try:
        wanted = contracts.lookup(record.type, record.schema).personal
    except Malformed:
        return  # unknown to this release: kept as it is, whoever reads it says so
    missing = sorted(set(wanted) - set(personal))
    if missing:
        raise _malformed(f"{at}.data.{missing[0]}", "its ciphertext is missing", "thiếu bản mã")


def _refused(code: str, en: str, vi: str) -> Refused:
    return Refused(code, en, vi, field="serial")


def _malformed(field: str, en: str, vi: str) -> Malformed:
    return Malformed("journal upload", (Problem(field, "invalid", en, vi),))
