# SPDX-License-Identifier: Apache-2.0
"""The machine's memory: a journal record and what follows from it are one transaction.

When ``transaction`` returns, everything in it is on disk (WAL, ``synchronous=FULL``); when it does
not return, nothing of it ever happened. A data key exists in the clear only inside ``append``:
what stays on disk is the ciphertext and the key boxed to the centre, until the centre has it.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast
from uuid import UUID, uuid4

import apsw
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from services.common import contracts
from services.common.canonical import Json, JsonObject, canonical_json, parse_json
from services.common.clock import Clock, to_micros
from services.common.contracts import EventContract
from services.common.errors import Unavailable
from services.common.personal import box_key, new_data_key, seal
from services.kiosk_sync import protocol
from services.kiosk_sync.edge.store import fold
from services.kiosk_sync.edge.store.schema import StoreError, connect

SQLiteValue = None | int | float | bytes | str
Row = tuple[SQLiteValue, ...]
UP: Final = "up"
DOWN: Final = "down"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose journal this is, and to whom its data keys are boxed."""

    serial: str
    epoch: int
    centre_box: X25519PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A run of records that the centre has not confirmed, with what belongs to them."""

    records: tuple[protocol.Record, ...]
    parcels: tuple[protocol.Parcel, ...]
    keys: tuple[protocol.BoxedKey, ...]
    head: str


class Transaction:
    """Reads and writes that become durable together."""

    def __init__(self, connection: apsw.Connection, identity: Identity, clock: Clock) -> None:
        """Bind the connection; made by ``Store.transaction`` only."""
        self._connection = connection
        self._identity = identity
        self._clock = clock

    def rows(self, sql: str, *values: SQLiteValue) -> list[Row]:
        """Return the rows of a statement; for writes an empty list."""
        return [tuple(row) for row in self._connection.execute(sql, values)]

    def append(
        self,
        event_type: str,
        data: Mapping[str, Json],
        *,
        session: str,
        subject: str | None = None,
        personal: Mapping[str, Json] | None = None,
    ) -> protocol.Record:
        """Journal one record (contract version 1) and bring the folded tables up to it.

        Args:
            event_type: ``kiosk.dossier_deposited``.
            data: the contract's data without the personal fields.
            session: UUID of the visit.
            subject: dossier id, where there is one.
            personal: values of the personal fields; sealed here with a fresh key each.

        Raises:
            Malformed: the data do not satisfy the contract.
        """
        serial, epoch = self._identity.serial, self._identity.epoch
        last, prev = head_of(self._connection, serial, epoch)
        seq, now_us = last + 1, to_micros(self._clock.now())
        identifier = protocol.event_id(serial, epoch, seq, now_us)
        contract = contracts.newest(event_type)
        whole = dict(data)
        for field, value in (personal or {}).items():
            whole[field] = self._seal(value, contract, identifier, field, seq)
        contract.check(whole)
        record = protocol.Record(
            seq=seq,
            type=event_type,
            schema=contract.schema,
            occurred_at_us=now_us,
            clock=_clock_facts(),
            session=session,
            subject=subject,
            data=whole,
            prev=prev,
        )
        raw = canonical_json(record.as_json(serial, epoch))
        self.rows("INSERT INTO journal VALUES (?, ?, ?)", seq, raw, protocol.record_hash(raw))
        fold.project(self._connection, record)
        return record

    def _seal(
        self, value: Json, contract: EventContract, event: UUID, field: str, seq: int
    ) -> JsonObject:
        purpose = contract.personal[field]
        key = new_data_key(purpose)
        sealed = seal(value, key, event_id=event, field=field, schema=contract.schema)
        self.rows(
            "INSERT INTO parcel VALUES (?, ?, ?, ?, ?, ?)",
            str(event), field, seq, str(key.key_id), sealed.blob.hex(), sealed.commitment.hex(),
        )  # fmt: skip
        box = box_key(key, self._identity.centre_box).hex()
        self.rows("INSERT INTO boxed_key VALUES (?, ?, ?, ?)", str(key.key_id), seq, purpose, box)
        return sealed.stub()


class Store:
    """The machine's one file; safe to use from several threads, one transaction at a time."""

    def __init__(
        self,
        path: Path,
        identity: Identity,
        *,
        clock: Clock,
        vfs: str | None = None,
        synchronous: str = "FULL",
    ) -> None:
        """Open or create the file.

        Raises:
            StoreError: the file is another machine's or epoch's, or of a newer release.
        """
        self.identity = identity
        self.clock = clock
        self._lock = threading.RLock()
        self._connection = connect(path, vfs=vfs, synchronous=synchronous)
        # Whoever was killed between forgetting and overwriting leaves it to the first confirmation.
        self._wipe = True
        self._claim(f"{identity.serial}/{identity.epoch}")

    def close(self) -> None:
        """Close the file; waits for the transaction under way."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit what the block did, durably; undo all of it when the block raises.

        Raises:
            Unavailable: the disk is full or fails; nothing of the block happened.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield Transaction(self._connection, self.identity, self.clock)
                self._connection.execute("COMMIT")
            except (apsw.FullError, apsw.IOError) as error:
                self._undo()
                raise Unavailable("disk", str(error)) from error
            except BaseException:
                self._undo()
                raise

    def rows(self, sql: str, *values: SQLiteValue) -> list[Row]:
        """Read outside a transaction."""
        with self._lock:
            return [tuple(row) for row in self._connection.execute(sql, values)]

    def head(self) -> tuple[int, str]:
        """Return the last sequence and its hash; 0 and the genesis in an empty journal."""
        with self._lock:
            return head_of(self._connection, self.identity.serial, self.identity.epoch)

    def hash_at(self, seq: int) -> str | None:
        """Return the hash of record ``seq`` (0 = genesis), None beyond the end."""
        if seq == 0:
            return protocol.genesis(self.identity.serial, self.identity.epoch)
        found = self.rows("SELECT hash FROM journal WHERE seq = ?", seq)
        return str(found[0][0]) if found else None

    def records(self, after: int = 0, limit: int = -1) -> list[protocol.Record]:
        """Return journal records after ``after`` in order."""
        found = self.rows(
            "SELECT record FROM journal WHERE seq > ? ORDER BY seq LIMIT ?", after, limit
        )
        return [_read(cast("bytes", row[0])) for row in found]

    def lane(self, name: str) -> int:
        """Return how far a lane is: sequence the centre confirmed, or last order applied."""
        found = self.rows("SELECT number FROM lane WHERE name = ?", name)
        return cast("int", found[0][0]) if found else 0

    def pending(self, *, records_max: int, bytes_max: int) -> Batch | None:
        """Return the next records to upload; at least one if there is one."""
        with self._lock:
            acked = self.lane(UP)
            chosen: list[protocol.Record] = []
            size = 0
            for record in self.records(acked, min(records_max, protocol.BATCH_RECORDS_MAX)):
                size += len(canonical_json(record.as_json("", 0)))
                if chosen and size > bytes_max:
                    break
                chosen.append(record)
            if not chosen:
                return None
            last = chosen[-1].seq
            parcels = self.rows(
                "SELECT event_id, field, key_id, blob, commitment FROM parcel"
                " WHERE seq > ? AND seq <= ? ORDER BY seq, field", acked, last)  # fmt: skip
            keys = self.rows(
                "SELECT key_id, purpose, box FROM boxed_key"
                " WHERE seq > ? AND seq <= ? ORDER BY seq, key_id", acked, last)  # fmt: skip
            return Batch(
                records=tuple(chosen),
                parcels=tuple(_parcel(row) for row in parcels),
                keys=tuple(_boxed(row) for row in keys),
                head=str(self.hash_at(last)),
            )

    def confirm(self, seq: int, head: str) -> bool:
        """Move the upload cursor to ``seq`` if ``head`` is the own hash there; say whether so.

        The cursor may go back: a centre restored from a backup asks for the tail again. Data keys
        of confirmed records are forgotten, by the files' bytes too: an erasure at the centre would
        be worth little if a machine in a hall still held what opens the ciphertext.
        """
        with self.transaction() as tx:
            if self.hash_at(seq) != head:
                return False
            move_lane(tx, UP, seq, head)
            held = tx.rows("SELECT EXISTS (SELECT 1 FROM boxed_key WHERE seq <= ?)", seq)
            self._wipe = self._wipe or bool(held[0][0])
            tx.rows("DELETE FROM boxed_key WHERE seq <= ?", seq)
        if self._wipe:
            self._wipe = not self._wiped()
        return True

    def _wiped(self) -> bool:
        """Bring the log of writes into the file, which overwrites, and cut it off; say whether."""
        with self._lock, suppress(apsw.Error):
            # Busy, full, failing: the next confirmation tries again.
            busy, _, _ = self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0]
            return not busy
        return False

    def meta(self, name: str) -> str | None:
        """Return a note of the machine about itself."""
        found = self.rows("SELECT value FROM meta WHERE name = ?", name)
        return str(found[0][0]) if found else None

    def note(self, name: str, value: str) -> None:
        """Keep a note of the machine about itself."""
        with self.transaction() as tx:
            tx.rows("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def forget(self, name: str) -> None:
        """Drop a note, if there is one."""
        if self.meta(name) is not None:
            with self.transaction() as tx:
                tx.rows("DELETE FROM meta WHERE name = ?", name)

    def check(self) -> None:
        """Prove the file: SQLite's own check, the hash chain, folded tables equal to a fold.

        Raises:
            StoreError: naming what does not hold; the machine must not take anything in then.
        """
        with self._lock:
            found = self.rows("PRAGMA integrity_check")
            if found != [("ok",)]:
                raise StoreError(f"integrity check: {found[0][0]!s}")
            records = self.records()
            prev = self.hash_at(0)
            for place, record in enumerate(records, start=1):
                own = record.hash(self.identity.serial, self.identity.epoch)
                if record.seq != place or record.prev != prev or own != self.hash_at(place):
                    raise StoreError(f"journal: the chain breaks at {place}")
                prev = own
            wrong = fold.differences(self._connection, records)
            if wrong:
                raise StoreError(f"tables that do not follow from the journal: {wrong}")

    def _undo(self) -> None:
        # SQLite has undone it already after some errors.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _claim(self, owner: str) -> None:
        held = self.meta("owner")
        if held is None:
            self.note("owner", owner)
        elif held != owner:
            self.close()
            raise StoreError(f"the file is {held}'s, this machine is {owner}")


def head_of(connection: apsw.Connection, serial: str, epoch: int) -> tuple[int, str]:
    """Return the last sequence and its hash."""
    row = connection.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    return (0, protocol.genesis(serial, epoch)) if row is None else (int(row[0]), str(row[1]))


def move_lane(tx: Transaction, name: str, number: int, head: str = "") -> None:
    """Set how far a lane is, in the caller's transaction."""
    tx.rows("INSERT OR REPLACE INTO lane VALUES (?, ?, ?)", name, number, head)


_BOOT: Final = str(uuid4())


def _clock_facts() -> dict[str, Json]:
    # Nothing here asks the kernel for its NTP state, so the quality is never claimed.
    return {
        "boot": _BOOT, "boot_ms": int(time.monotonic() * 1000), "quality": "unknown",
        "error_ms": 0,
    }  # fmt: skip


def _read(raw: bytes) -> protocol.Record:
    value = cast("dict[str, Json]", parse_json(raw))
    known = ("seq", "type", "schema", "clock", "session", "subject", "data", "prev")
    fields = {name: value[name] for name in known}
    return protocol.Record(occurred_at_us=value["occurred_at"], **fields)  # type: ignore[arg-type]


def _parcel(row: Sequence[SQLiteValue]) -> protocol.Parcel:
    event_id, field, key_id, blob, commitment = (str(value) for value in row)
    return protocol.Parcel(
        event_id=event_id, field=field, key_id=key_id, blob=blob, commitment=commitment
    )


def _boxed(row: Sequence[SQLiteValue]) -> protocol.BoxedKey:
    key_id, purpose, box = (str(value) for value in row)
    return protocol.BoxedKey(key_id=key_id, purpose=purpose, box=box)
