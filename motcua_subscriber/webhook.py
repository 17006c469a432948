# SPDX-License-Identifier: Apache-2.0
"""Webhooks: whether one is genuine, and its event once in effect. Standard library only.

``webhook-id`` is the event's id, whenever and however often it comes; the inbox, not the time
stamp, is what a replay within five minutes fails at.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping, Sequence

from motcua_subscriber.event import BODY_BYTES_MAX, Event, NotAnEventError, parse
from motcua_subscriber.inbox import Effect, Inbox

TOLERANCE_S = 300
SECRET_PREFIX = "whsec_"  # noqa: S105 - a mark, no secret
_SIGNATURES_MAX = 20


class WebhookError(ValueError):
    """Not a genuine webhook of the platform; answer 4xx and have no effect."""


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    *,
    now_s: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> Event:
    """Return the event in a webhook that is signed, recent and whole.

    Args:
        headers: of the request, in any spelling.
        body: the bytes as they came, before anything decoded them.
        secrets: ``whsec_…``, or several of them while one is replaced by another.
        now_s: seconds since 1970; the clock's when None.
        tolerance_s: so far may the time stamp be away from now, in both directions.

    Raises:
        WebhookError: saying what is wrong.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        identifier, stamp = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split(" ")[:_SIGNATURES_MAX]
    except KeyError as error:
        raise WebhookError(f"no header {error}") from None
    if len(body) > BODY_BYTES_MAX:
        raise WebhookError("too long")
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):  # noqa: PLR2004
        raise WebhookError("the time stamp is no number")
    now_s = time.time() if now_s is None else now_s
    if abs(now_s - int(stamp)) > tolerance_s:
        raise WebhookError("the time stamp is too far from now")
    signed = f"{identifier}.{stamp}.".encode() + body
    known = [secrets] if isinstance(secrets, str) else list(secrets)
    wanted = [f"v1,{_signature(_raw(one), signed)}" for one in known]
    # Every pair is compared, so that the time it takes tells nothing.
    fitting = [hmac.compare_digest(a.encode(), b.encode()) for a in wanted for b in signatures]
    if not any(fitting):
        raise WebhookError("the signature does not fit")
    try:
        event = parse(body)
    except NotAnEventError as error:
        raise WebhookError("the body is not an event") from error
    if str(event.id) != identifier:
        raise WebhookError("the header names another event")
    return event


def take(
    inbox: Inbox,
    effect: Effect,
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
) -> bool:
    """Have the effect of a genuine webhook and mark it in one transaction.

    Answer 2xx after it returned, also where it says False: the event was taken before. An error of
    ``effect`` leaves neither; answer 5xx and it comes again.

    Raises:
        WebhookError: not genuine.
    """
    return inbox.take(verify(headers, body, secrets), effect)


def _raw(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a webhook secret looks like whsec_<base64>") from None


def _signature(secret: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
