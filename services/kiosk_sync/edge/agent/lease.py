# SPDX-License-Identifier: Apache-2.0
"""The money lease: whether this machine may take cash, by the centre's word and the clock alone.

Kept as the centre signed it and checked at each use. Without one, with one that has run out, or
with a clock that stands before its beginning, cash stays hidden; everything else goes on.
"""

from datetime import timedelta
from typing import Final, cast

from services.common.canonical import JsonObject, canonical_json, parse_json
from services.common.clock import to_micros
from services.common.errors import Refused
from services.kiosk_sync import protocol
from services.kiosk_sync.edge.agent.machine import Machine

LEASE: Final = "money_lease"
CLOCK_SLACK: Final = timedelta(minutes=10)


def keep_lease(machine: Machine, document: JsonObject) -> None:
    """Keep a lease unless the one that is kept holds longer.

    Raises:
        ProtocolError: not signed by the centre for this machine.
    """
    lease = _read(machine, document)
    kept = _kept(machine)
    if kept is None or lease.until_us > kept.until_us:
        machine.store.note(LEASE, canonical_json(document).decode())


def may_take_money(machine: Machine) -> bool:
    """Say whether cash may be offered now."""
    lease = _kept(machine)
    if lease is None:
        return False
    now = machine.clock.now()
    return lease.from_us <= to_micros(now + CLOCK_SLACK) and to_micros(now) < lease.until_us


def require_lease(machine: Machine) -> None:
    """Raise Refused ``money_lease_expired`` unless cash may be taken now."""
    if not may_take_money(machine):
        raise Refused(
            "money_lease_expired",
            "this machine may not take cash at present; pay by QR code or at the office",
            "máy tạm thời không nhận tiền mặt; vui lòng nộp bằng mã QR hoặc tại bộ phận một cửa",
        )


def _kept(machine: Machine) -> protocol.Lease | None:
    text = machine.store.meta(LEASE)
    if text is None:
        return None
    try:
        return _read(machine, cast("JsonObject", parse_json(text.encode())))
    except (protocol.ProtocolError, ValueError, AttributeError):
        return None


def _read(machine: Machine, document: JsonObject) -> protocol.Lease:
    serial = machine.store.identity.serial
    return protocol.verify_lease(machine.centre_sign_key, serial, document)
