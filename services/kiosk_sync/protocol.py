# SPDX-License-Identifier: Apache-2.0
r"""What a machine and the centre say to each other, version 1; used by both ends.

A machine journals records in a hash chain per (serial, epoch) and uploads runs of them, signed.
The centre answers with the next sequence it expects and the hash of the last record it holds; only
when that equals the machine's own hash does the machine move its cursor (ADR-0005).

Hashes: record = SHA-256("motcua/journal/v1\\0" ‖ canonical record), the previous record's hash
inside; the record before sequence 1 is ``genesis``. Bytes are frozen by golden vectors.
"""

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.common import ids
from services.common.canonical import Json, JsonObject, canonical_json, parse_json

VERSION: Final = 1
BATCH_RECORDS_MAX: Final = 500
BATCH_BYTES_MAX: Final = 1_000_000
_JOURNAL: Final = b"motcua/journal/v1\x00"
_GENESIS: Final = b"motcua/genesis/v1\x00"
_BATCH: Final = b"motcua/batch/v1\x00"
_ORDER: Final = b"motcua/order/v1\x00"
_LEASE: Final = b"motcua/lease/v1\x00"
_EXPANDED_MAX: Final = 20_000_000


class ProtocolError(Exception):
    """Bytes that are not a message of this protocol; ``field`` says where."""

    def __init__(self, field: str, reason: str) -> None:
        """Name field and reason."""
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One journal record.

    Attributes:
        seq: 1, 2, 3 … within the epoch; becomes the version in the log.
        type: contract name, ``kiosk.dossier_deposited``.
        schema: contract version.
        occurred_at_us: wall clock, microseconds since the epoch; evidence, never order.
        clock: {"boot", "boot_ms", "quality", "error_ms"}.
        session: UUID of the visit; becomes the correlation id.
        subject: dossier id, where there is one.
        data: contract data, personal fields as stubs.
        prev: hex hash of the record before.
    """

    seq: int
    type: str
    schema: int
    occurred_at_us: int
    clock: JsonObject
    session: str
    subject: str | None
    data: JsonObject
    prev: str

    def as_json(self, serial: str, epoch: int) -> dict[str, Json]:
        """Return the record as it is hashed and sent."""
        return {
            "v": VERSION,
            "id": str(event_id(serial, epoch, self.seq, self.occurred_at_us)),
            "seq": self.seq,
            "type": self.type,
            "schema": self.schema,
            "occurred_at": self.occurred_at_us,
            "clock": self.clock,
            "session": self.session,
            "subject": self.subject,
            "data": self.data,
            "prev": self.prev,
        }

    def hash(self, serial: str, epoch: int) -> str:
        """Return the record's place in the chain, hex."""
        return record_hash(canonical_json(self.as_json(serial, epoch)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A ciphertext that travels beside the chain."""

    event_id: str
    field: str
    key_id: str
    blob: str
    commitment: str

    def as_json(self) -> dict[str, Json]:
        """Return the JSON form; bytes are hex."""
        return {
            "event_id": self.event_id,
            "field": self.field,
            "key_id": self.key_id,
            "blob": self.blob,
            "commitment": self.commitment,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxedKey:
    """A data key encrypted to the centre's X25519 key."""

    key_id: str
    purpose: str
    box: str

    def as_json(self) -> dict[str, Json]:
        """Return the JSON form; bytes are hex."""
        return {"key_id": self.key_id, "purpose": self.purpose, "box": self.box}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to take money, both ends in microseconds since the epoch."""

    from_us: int
    until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A run of records with what belongs to them, as the centre reads it."""

    serial: str
    epoch: int
    head: str
    signature: str
    records: tuple[Record, ...]
    parcels: tuple[Parcel, ...]
    keys: tuple[BoxedKey, ...]


def source(serial: str, epoch: int) -> str:
    """Return the append source of a machine's journal: ``VT01/3``."""
    return f"{serial}/{epoch}"


def stream(serial: str, epoch: int) -> str:
    """Return the stream of a machine's journal: ``kiosk-VT01-3``."""
    return f"kiosk-{serial}-{epoch}"


def event_id(serial: str, epoch: int, seq: int, occurred_at_us: int) -> UUID:
    """Return the final id of a journal event; the machine knows it before it seals anything."""
    return ids.event_id(occurred_at_us // 1000, source(serial, epoch), str(seq), 0)


def genesis(serial: str, epoch: int) -> str:
    """Return what the first record of an epoch has as its previous hash."""
    return hashlib.sha256(_GENESIS + canonical_json([serial, epoch])).hexdigest()


def record_hash(canonical_record: bytes) -> str:
    """Return the chain hash of a record's canonical bytes, hex."""
    return hashlib.sha256(_JOURNAL + canonical_record).hexdigest()


def sign_batch(
    key: Ed25519PrivateKey, serial: str, epoch: int, records: Sequence[Record], head: str
) -> str:
    """Return the machine's signature over a run of records, hex."""
    return key.sign(_batch_bytes(serial, epoch, records[0].seq, records[-1].seq, head)).hex()


def verify_batch(upload: Upload, sign_key: bytes) -> bool:
    """Say whether ``upload`` was signed by the machine with this public key."""
    if not upload.records:
        return False
    first, last = upload.records[0].seq, upload.records[-1].seq
    signed = _batch_bytes(upload.serial, upload.epoch, first, last, upload.head)
    return _verified(sign_key, upload.signature, signed)


def sign_order(key: Ed25519PrivateKey, serial: str, order: JsonObject) -> dict[str, Json]:
    """Return a downlink document: the order for one machine and the centre's signature."""
    signature = key.sign(_ORDER + canonical_json([serial, order])).hex()
    return {"order": dict(order), "sig": signature}


def verify_order(centre_key: bytes, serial: str, document: JsonObject) -> dict[str, Json]:
    """Return the order of a downlink document; raises ProtocolError unless the centre signed it."""
    order, signature = document.get("order"), document.get("sig")
    if not isinstance(order, dict) or not isinstance(signature, str):
        raise ProtocolError("order", "not a signed order")
    if not _verified(centre_key, signature, _ORDER + canonical_json([serial, order])):
        raise ProtocolError("sig", "not signed by the centre for this machine")
    return order


def sign_lease(key: Ed25519PrivateKey, serial: str, lease: Lease) -> dict[str, Json]:
    """Return the centre's word that one machine may take money."""
    terms: dict[str, Json] = {"from": lease.from_us, "until": lease.until_us}
    return {"lease": terms, "sig": key.sign(_LEASE + canonical_json([serial, terms])).hex()}


def verify_lease(centre_key: bytes, serial: str, document: JsonObject) -> Lease:
    """Return the lease of a document; raises ProtocolError unless the centre signed it."""
    terms, signature = document.get("lease"), document.get("sig")
    if not isinstance(terms, dict) or not isinstance(signature, str):
        raise ProtocolError("lease", "not a signed lease")
    if not _verified(centre_key, signature, _LEASE + canonical_json([serial, terms])):
        raise ProtocolError("sig", "not signed by the centre for this machine")
    return Lease(from_us=_whole(terms, "from", "lease"), until_us=_whole(terms, "until", "lease"))


def encode_upload(upload: Upload) -> bytes:
    """Return the gzip-compressed JSON lines of an upload: header, records, parcels, keys."""
    header: dict[str, Json] = {
        "v": VERSION,
        "serial": upload.serial,
        "epoch": upload.epoch,
        "head": upload.head,
        "sig": upload.signature,
        "records": len(upload.records),
        "parcels": len(upload.parcels),
        "keys": len(upload.keys),
    }
    lines = [canonical_json(header)]
    lines += [canonical_json(r.as_json(upload.serial, upload.epoch)) for r in upload.records]
    lines += [canonical_json(parcel.as_json()) for parcel in upload.parcels]
    lines += [canonical_json(key.as_json()) for key in upload.keys]
    return gzip.compress(b"\n".join(lines), compresslevel=5, mtime=0)


def decode_upload(body: bytes) -> Upload:
    """Read an upload; checks shapes, ids, sequence and the hash chain inside, not the signature.

    Raises:
        ProtocolError: with the field (``records[3].prev``) and the reason.
    """
    lines = _lines(body)
    header = _object(lines[0], "header")
    serial, epoch = _text(header, "serial", "header"), _whole(header, "epoch", "header")
    if header.get("v") != VERSION:
        raise ProtocolError("header.v", "unknown version")
    counts = [_whole(header, name, "header") for name in ("records", "parcels", "keys")]
    if sum(counts) + 1 != len(lines) or not 1 <= counts[0] <= BATCH_RECORDS_MAX:
        raise ProtocolError("header.records", f"1 to {BATCH_RECORDS_MAX}, as many as lines follow")
    cut_1, cut_2 = 1 + counts[0], 1 + counts[0] + counts[1]
    records = tuple(
        _record(line, f"records[{place}]", serial, epoch)
        for place, line in enumerate(lines[1:cut_1])
    )
    upload = Upload(
        serial=serial,
        epoch=epoch,
        head=_text(header, "head", "header"),
        signature=_text(header, "sig", "header"),
        records=records,
        parcels=tuple(_parcel(line, f"parcels[{n}]") for n, line in enumerate(lines[cut_1:cut_2])),
        keys=tuple(_key(line, f"keys[{n}]") for n, line in enumerate(lines[cut_2:])),
    )
    _check_chain(upload)
    return upload


def _check_chain(upload: Upload) -> None:
    previous = upload.records[0].prev
    for place, record in enumerate(upload.records):
        if record.seq != upload.records[0].seq + place:
            raise ProtocolError(f"records[{place}].seq", "records must follow one another")
        if record.prev != previous:
            raise ProtocolError(f"records[{place}].prev", "does not match the record before")
        previous = record.hash(upload.serial, upload.epoch)
    if previous != upload.head:
        raise ProtocolError("header.head", "is not the hash of the last record")


def _lines(body: bytes) -> list[bytes]:
    try:
        # Bounded: a small body must not be able to fill the memory.
        text = zlib.decompressobj(wbits=31).decompress(body, _EXPANDED_MAX + 1)
    except zlib.error as error:
        raise ProtocolError("body", "not gzip") from error
    if len(body) > BATCH_BYTES_MAX or len(text) > _EXPANDED_MAX:
        raise ProtocolError("body", "too large")
    return text.split(b"\n")


def _record(line: bytes, at: str, serial: str, epoch: int) -> Record:
    raw = _object(line, at)
    subject = raw.get("subject")
    if subject is not None and not isinstance(subject, str):
        raise ProtocolError(f"{at}.subject", "must be text or null")
    record = Record(
        seq=_whole(raw, "seq", at),
        type=_text(raw, "type", at),
        schema=_whole(raw, "schema", at),
        occurred_at_us=_whole(raw, "occurred_at", at),
        clock=_part(raw, "clock", at),
        session=_text(raw, "session", at),
        subject=subject,
        data=_part(raw, "data", at),
        prev=_text(raw, "prev", at),
    )
    try:
        UUID(record.session)
        rebuilt = canonical_json(record.as_json(serial, epoch))
    except ValueError as error:
        raise ProtocolError(at, str(error)) from error
    if rebuilt != line:
        raise ProtocolError(at, "not canonical, or its id is not derived from its place")
    return record


def _parcel(line: bytes, at: str) -> Parcel:
    raw = _object(line, at)
    names = ("event_id", "field", "key_id", "blob", "commitment")
    return Parcel(**{name: _text(raw, name, at) for name in names})


def _key(line: bytes, at: str) -> BoxedKey:
    raw = _object(line, at)
    return BoxedKey(**{name: _text(raw, name, at) for name in ("key_id", "purpose", "box")})


def _object(line: bytes, at: str) -> dict[str, Json]:
    try:
        value = parse_json(line)
    except ValueError as error:
        raise ProtocolError(at, "not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError(at, "not an object")
    return cast("dict[str, Json]", value)


def _text(raw: JsonObject, name: str, at: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise ProtocolError(f"{at}.{name}", "must be text")
    return value


def _whole(raw: JsonObject, name: str, at: str) -> int:
    value = raw.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ProtocolError(f"{at}.{name}", "must be a whole number")
    return value


def _part(raw: JsonObject, name: str, at: str) -> dict[str, Json]:
    value = raw.get(name)
    if not isinstance(value, dict):
        raise ProtocolError(f"{at}.{name}", "must be an object")
    return value


def _batch_bytes(serial: str, epoch: int, first: int, last: int, head: str) -> bytes:
    signed: JsonObject = {
        "serial": serial, "epoch": epoch, "from": first, "to": last, "head": head,
    }  # fmt: skip
    return _BATCH + canonical_json(signed)


def _verified(public_key: bytes, signature: str, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(signature), signed)
    except (InvalidSignature, ValueError):
        return False
    return True
