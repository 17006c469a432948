# SPDX-License-Identifier: Apache-2.0
"""The echo: a token for each dossier registered. Imports nothing that must come after patching."""

from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, Fact

QUEUE = "payment.reactions"


def token_issued(event: RecordedEvent) -> list[Change]:
    """Answer a dossier with one token on a stream that must be new."""
    fact = Fact(
        type="payment.token_issued",
        data={"token": "K7M2QX9P", "dossier": str(event.event_id)},
        subject=event.subject,
    )
    return [Change(stream=f"payment-{event.event_id}", expected_version=0, facts=(fact,))]
