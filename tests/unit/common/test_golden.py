# SPDX-License-Identifier: Apache-2.0
"""Golden vectors: bytes that every later release must still produce and read (ADR-0001)."""

from uuid import UUID

import pytest

from services.common import ids, personal
from services.common.canonical import canonical_json
from services.common.eventlog.record import NewEvent, content_bytes, content_hash, leaf_hash
from services.kiosk_sync import protocol

EVENT = UUID("018bcfe5-6800-8988-a7e8-aa9a8121d26e")
KEY = personal.DataKey(UUID("00000000-0000-4000-8000-000000000001"), "contact", bytes(range(32)))
CONTENT = (
    '{"data":{"6e67c3a079":"Vị Thanh","code":"H30.12-240213-0001"},'
    '"event_id":"018bcfe5-6800-8988-a7e8-aa9a8121d26e","log_id":93,'
    '"meta":{"actor":"official:cb001","correlation_id":"c"},"occurred_at":1707796800000001,'
    '"schema":1,"stream":"dossier-d","subject":"d","type":"dossier.accepted","version":2}'
).encode()
CONTENT_HASH = "d56f09e6cab473cc917db772eb52bc80514e6853c594e82530a6c717d82231a1"
LEAF = "5b563436da499a7b1727e2b435bb492ca1664a37b35985991c419b1286cecc81"
BLOB = (
    "000102030405060708090a0b3c20b87aa880e021af0ff0fec808c3e8edf6d1f073157f2850865e283f4522c2697f"
    "c0998dfb30a84d954ddebcb21e0fd67b1de248769bcff7843b0ff82cde68ae9060"
)
CONTACT = {"name": "Nguyễn Văn Thử", "phone": "0912345678"}


def test_event_id() -> None:
    """An event id is derived from cause, source, key and place: UUIDv8, time first."""
    derived = ids.event_id(1_700_000_000_000, "VT01/3", "17", 0)
    assert derived == EVENT
    assert (derived.version, ids.cause_ms_of(derived, 0)) == (8, 1_700_000_000_000)
    assert ids.event_id(1_700_000_000_000, "VT01/3", "17", 1) != derived


def test_content_and_leaf() -> None:
    """Content bytes, content hash and leaf hash of one event."""
    event = NewEvent(
        type="dossier.accepted",
        schema=1,
        data=canonical_json({"code": "H30.12-240213-0001", "6e67c3a079": "Vị Thanh"}),
        meta=canonical_json({"correlation_id": "c", "actor": "official:cb001"}),
        occurred_at_us=1_707_796_800_000_001,
        subject="d",
    )
    content = content_bytes(log_id=93, event_id=EVENT, stream="dossier-d", version=2, event=event)
    assert content == CONTENT
    assert content_hash(content).hex() == CONTENT_HASH
    assert leaf_hash(content_hash(content), 1_707_796_800_123_456).hex() == LEAF


def test_ciphertext_and_stub() -> None:
    """A sealed field, its stub, and the key commitment."""
    sealed = personal.seal_with_nonce(
        CONTACT, KEY, bytes(range(12)), event_id=EVENT, field="contact", schema=1
    )
    assert sealed.blob.hex() == BLOB
    assert sealed.stub() == {
        "key": str(KEY.key_id),
        "digest": "1bc4426a121bde4caa77b6b153c45c17f76a72d300ecc17aada5855ad89ff03c",
        "commitment": "58b89e747b3103ffd6cae90e8a10a635",
    }
    opened = personal.open_sealed(sealed, KEY, event_id=EVENT, field="contact", schema=1)
    assert opened == CONTACT


@pytest.mark.parametrize(
    ("field", "schema", "event"),
    [("name", 1, EVENT), ("contact", 2, EVENT), ("contact", 1, UUID(int=1))],
)
def test_ciphertext_stays_in_its_place(field: str, schema: int, event: UUID) -> None:
    """A ciphertext moved to another field, schema or event does not open."""
    sealed = personal.seal(CONTACT, KEY, event_id=EVENT, field="contact", schema=1)
    assert personal.open_sealed(sealed, KEY, event_id=EVENT, field="contact", schema=1) == CONTACT
    with pytest.raises(personal.CannotOpenError):
        personal.open_sealed(sealed, KEY, event_id=event, field=field, schema=schema)


def test_ciphertext_is_bound_to_its_key() -> None:
    """Another key, or one changed byte, does not open the ciphertext."""
    commitment = personal.key_commitment(KEY.secret)
    other = personal.DataKey(KEY.key_id, "contact", bytes(32))
    blob = bytes.fromhex(BLOB)
    changed = blob[:-1] + bytes([blob[-1] ^ 1])
    for sealed, key in (
        (personal.Sealed(KEY.key_id, blob, commitment), other),
        (personal.Sealed(KEY.key_id, changed, commitment), KEY),
    ):
        with pytest.raises(personal.CannotOpenError):
            personal.open_sealed(sealed, key, event_id=EVENT, field="contact", schema=1)


def test_nonces_are_never_used_twice() -> None:
    """Every sealing takes a fresh nonce."""
    blobs = {
        personal.seal("x", KEY, event_id=EVENT, field="f", schema=1).blob[:12] for _ in range(500)
    }
    assert len(blobs) == 500


def test_wrapped_key() -> None:
    """AES-KW of RFC 3394 with a fixed wrapping key."""
    wrapped = personal.wrap_key(bytes(range(32)), bytes(range(32, 64)))
    assert wrapped.hex() == (
        "c1a9bb689aeab408aa5250b5fa27911a34d09cf2c3c5db0f1a54c6bc2773a21dfe64e0c6d7be9352"
    )
    assert personal.unwrap_key(wrapped, bytes(range(32, 64))) == bytes(range(32))
    with pytest.raises(personal.CannotOpenError):
        personal.unwrap_key(wrapped, bytes(32))


def test_journal_chain() -> None:
    """Genesis and first record of a machine's chain."""
    first = protocol.genesis("VT01", 3)
    assert first == "9c1f9f2d81a7f08563876838384510d0509df77055216863fb942f973f3567a1"
    record = protocol.Record(
        seq=1,
        type="kiosk.booted",
        schema=1,
        occurred_at_us=1_707_796_800_000_001,
        clock={"boot": "b", "boot_ms": 1, "quality": "synced", "error_ms": 5},
        session="00000000-0000-4000-8000-000000000002",
        subject=None,
        data={"release": "26.11"},
        prev=first,
    )
    assert record.hash("VT01", 3) == (
        "d67006cc8539e887dd63c483bbb2997a83a6f772a7654bc84b5b55ef63c47288"
    )
