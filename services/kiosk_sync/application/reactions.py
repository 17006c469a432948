# SPDX-License-Identifier: Apache-2.0
"""What the fleet does about other services' events: orders to machines."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from services.common import contracts
from services.common.canonical import Json
from services.common.clock import Clock
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, Fact
from services.common.ids import event_id
from services.common.messaging.reaction import Handler

GRANT_LIFE: Final = timedelta(hours=72)
CODE_DIGITS: Final = 6
_ASKED: Final = frozenset({"payment.requested", "payment.duty_requested"})


def event_handlers(log: EventLog, clock: Clock) -> Mapping[str, Handler]:
    """Return the handlers of ``kiosk_sync.reactions``."""

    def offer_payment(event: RecordedEvent) -> Sequence[Change]:
        asked = _data(event)
        if not asked["amount_vnd"] or asked["machine"] is None or _is_over(log, event):
            return ()
        data = {name: asked[name] for name in ("token", "amount_vnd", "qr")}
        return [_order(log, event, str(asked["machine"]), "grant.payment_offered", data)]

    def confirm_payment(event: RecordedEvent) -> Sequence[Change]:
        settled = _data(event)
        machine = _machine_of_payment(log, event)
        if machine is None:
            return ()
        data = {name: settled[name] for name in ("method", "paid_vnd", "overpaid_vnd")}
        return [_order(log, event, machine, "grant.payment_confirmed", data)]

    def withdraw_payment(event: RecordedEvent) -> Sequence[Change]:
        machine = _machine_that_asks(log, event)
        if machine is None:
            return ()
        return [_order(log, event, machine, "grant.payment_withdrawn", {})]

    def grant_release(event: RecordedEvent) -> Sequence[Change]:
        ready = _data(event)
        data: dict[str, Json] = {
            "grant": str(event_id(event.occurred_at_us // 1000, "grant", str(event.event_id), 0)),
            "cell": ready["cell"],
            "not_after": (clock.now() + GRANT_LIFE).isoformat(timespec="seconds"),
        }
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        machine = str(ready["machine"])
        return [_order(log, event, machine, "grant.release_issued", data, personal={"code": code})]

    return {
        "payment.requested": offer_payment,
        "payment.duty_requested": offer_payment,
        "payment.settled": confirm_payment,
        "payment.closed": withdraw_payment,
        "dossier.ready": grant_release,
    }


EVENT_HANDLERS: Final = event_handlers


def streams_read(event: RecordedEvent) -> Sequence[str]:
    """Return the streams that the handler of ``event`` reads whole."""
    return (event.stream,) if event.type.startswith("payment.") else ()


def _order(
    log: EventLog,
    event: RecordedEvent,
    machine: str,
    event_type: str,
    data: Mapping[str, Json],
    *,
    personal: Mapping[str, Json] | None = None,
) -> Change:
    stream = f"grant-{machine}"
    fact = Fact(
        type=event_type,
        data={"dossier": event.subject, **data},
        personal=personal or {},
        subject=event.subject,
    )
    return Change(stream=stream, expected_version=log.stream_version(stream), facts=(fact,))


def _is_over(log: EventLog, asked: RecordedEvent) -> bool:
    """Say whether what was asked is paid or closed already: that may have been handled first."""
    later = log.read_stream(asked.stream, after_version=asked.version)
    return any(event.type in {"payment.settled", "payment.closed"} for event in later)


def _machine_that_asks(log: EventLog, closed: RecordedEvent) -> str | None:
    """Return the machine that asks what was not paid before ``closed``; None for none."""
    asking: Json = None
    for earlier in log.read_stream(closed.stream, limit=closed.version):
        if earlier.type in _ASKED:
            asking = _data(earlier)["machine"] if _data(earlier)["amount_vnd"] else None
        elif earlier.type == "payment.settled":
            asking = None
    return None if asking is None else str(asking)


def _machine_of_payment(log: EventLog, event: RecordedEvent) -> str | None:
    """Return the machine whose screen shows it; None for a dossier from the counter."""
    for earlier in log.read_stream(event.stream):
        if earlier.type in _ASKED:
            machine = _data(earlier)["machine"]
            return None if machine is None else str(machine)
    raise Refused(
        "payment_not_requested",
        "a payment was settled that nobody asked for",
        "khoản đã thanh toán không có yêu cầu",
    )


def _data(event: RecordedEvent) -> Mapping[str, Json]:
    return contracts.current(event.type, event.schema, event.data)
