# SPDX-License-Identifier: Apache-2.0
"""Downlink: what the centre orders one machine, in order, each order signed for that machine.

The orders are the stream ``grant-<serial>``; its version is the order's number. A collection code
leaves the centre only as a salted scrypt hash inside the order, over the machine's own connection.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common import contracts
from services.common.canonical import Json
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Recorder
from services.kiosk_sync import protocol

WAIT_MAX_S: Final = 50
ORDERS_MAX: Final = 100
SCRYPT: Final = {"n": 16384, "r": 8, "p": 1, "length": 32}
_POLL_S: Final = 0.1


class Orders:
    """Reads and signs a machine's orders."""

    def __init__(self, recorder: Recorder, centre_key: Ed25519PrivateKey) -> None:
        """Bind the recorder (it can open codes) and the centre's signing key."""
        self._recorder = recorder
        self._key = centre_key

    def after(self, serial: str, number: int, *, wait_s: int = 0) -> list[dict[str, Json]]:
        """Return signed orders after ``number``, waiting up to ``wait_s`` for the first one.

        Raises:
            Unavailable: log or key database down.
        """
        deadline = time.monotonic() + min(max(wait_s, 0), WAIT_MAX_S)
        events = self._read(serial, number)
        while not events and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            events = self._read(serial, number)
        return [protocol.sign_order(self._key, serial, self._order(event)) for event in events]

    def _read(self, serial: str, number: int) -> Sequence[RecordedEvent]:
        return self._recorder.log.read_stream(
            f"grant-{serial}", after_version=number, limit=ORDERS_MAX
        )

    def _order(self, event: RecordedEvent) -> dict[str, Json]:
        contract = contracts.lookup(event.type, event.schema)
        data = {name: value for name, value in event.data.items() if name not in contract.personal}
        order: dict[str, Json] = {
            "cseq": event.version,
            "id": str(event.event_id),
            "type": event.type,
            "session": event.correlation_id,
            "data": data,
        }
        if event.type == "grant.release_issued":
            code = self._recorder.read_personal(event.event_id, event.schema, "code")
            # An erased code is an order that no code satisfies, not a missing order number.
            order["code_hash"] = None if code is None else code_hash(str(code), os.urandom(16))
        return order


def code_hash(code: str, salt: bytes) -> dict[str, Json]:
    """Return the salted scrypt hash of a collection code with its parameters."""
    digest = hashlib.scrypt(
        code.encode(), salt=salt, n=SCRYPT["n"], r=SCRYPT["r"], p=SCRYPT["p"],
        dklen=SCRYPT["length"], maxmem=64 * 1024 * 1024,
    )  # fmt: skip
    return {"salt": salt.hex(), "hash": digest.hex(), **SCRYPT}
