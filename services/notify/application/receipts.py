# SPDX-License-Identifier: Apache-2.0
"""Delivery receipts: from the provider's message name back to the notification.

The name stands in its own stream ``notification-sms.<name>``, appended in one request with
``notification.accepted``. So the way back is in the log, atomic and free of projection lag. Some
centres use a name again after years; the newest event of the stream counts.
"""

import hashlib
import re
from typing import Final

from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.recording import Cause, Change, Fact, Recorder, facts_of
from services.notify.application.ports import Receipt
from services.notify.application.reactions import stream_of
from services.notify.domain.notification import RecordDelivery, decide, fold

SOURCE: Final = "notify.receipts"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def reference_stream(provider_message: str) -> str:
    """Return the stream that leads from the provider's name to the notification."""
    if _PLAIN.fullmatch(provider_message):
        return f"notification-sms.{provider_message}"
    return f"notification-sms.{hashlib.sha256(provider_message.encode()).hexdigest()}"


def expectation(log: EventLog, provider_message: str, notification: str) -> Change:
    """Return the change that makes a later receipt for ``provider_message`` find its way."""
    stream = reference_stream(provider_message)
    version = len(log.read_stream(stream))
    fact = Fact(
        type="notification.receipt_expected",
        data={"notification": notification, "provider_message": provider_message},
    )
    return Change(stream=stream, expected_version=version, facts=(fact,))


def record_receipt(recorder: Recorder, receipt: Receipt) -> bool:
    """Record ``receipt``; False when no notification has that name (yet).

    Idempotent: a receipt repeated by the provider changes nothing.

    Raises:
        Unavailable, Conflict: nothing was recorded; the provider sends the receipt again.
    """
    expected = facts_of(recorder.log.read_stream(reference_stream(receipt.provider_message)))
    if not expected:
        return False
    notification = str(expected[-1][1]["notification"])
    stream = stream_of(notification)
    history = recorder.log.read_stream(stream)
    state = fold(facts_of(history))
    command = RecordDelivery(provider_message=receipt.provider_message, state=receipt.state)
    try:
        made = decide(command, state)
    except Refused:
        return False
    if made:
        facts = tuple(Fact(type=e.type, data=e.data, subject=history[0].subject) for e in made)
        recorder.record(
            [Change(stream=stream, expected_version=state.version, facts=facts)],
            source=SOURCE,
            key=f"{notification}/{receipt.state}",
            cause=Cause.of(history[-1], "provider:sms"),
            asked={"notification": notification, "state": receipt.state},
        )
    return True
