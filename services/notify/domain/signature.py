# SPDX-License-Identifier: Apache-2.0
"""What makes a webhook believable: Standard Webhooks 1.0, symmetric (``v1``, HMAC-SHA256).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime

from services.notify.domain.credentials import webhook_secret
from services.notify.domain.subscriber import WEBHOOK, Subscriber


def signatures(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: one signature for each secret in force.

    Args:
        secrets: at least one.
        message_id: the header ``webhook-id``.
        timestamp: the header ``webhook-timestamp``, seconds since 1970 (UTC).
        body: the bytes as they are sent.
    """
    assert secrets, "an unsigned webhook is never sent"
    content = f"{message_id}.{timestamp}.".encode() + body
    made = (base64.b64encode(hmac.digest(secret, content, "sha256")) for secret in secrets)
    return " ".join(f"v1,{one.decode()}" for one in made)


def secrets_of(one: Subscriber, key: bytes, now: datetime) -> tuple[bytes, ...]:
    """Return the secrets that sign now: the newest, and the one before while it still counts."""
    newest = one.generation(WEBHOOK)
    numbers = [newest]
    until = one.webhook_old_until
    if newest > 1 and until is not None and now < datetime.fromisoformat(until):
        numbers.append(newest - 1)
    return tuple(webhook_secret(key, one.name, number) for number in numbers)
