# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a subscriber; decided in ``subscriber``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """Let ``name`` receive ``types`` behind position ``after``; again with others: grant those."""

    name: str
    types: tuple[str, ...]
    after: int
    token_digest: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """Make a credential anew; ``until`` ends the one before, None at once."""

    credential: str
    token_digest: str | None
    until: str | None
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWebhook:
    """Send its events to ``url``, or nowhere; of all that it is owed only ``types``, None all."""

    url: str | None
    by: str
    types: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend:
    """Give nothing in ``scope`` until it is resumed."""

    scope: str
    reason: str
    position: int | None
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Go on in ``scope``."""

    scope: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRedrive:
    """Send ``first`` … ``last`` to its webhook once more; ``head`` is the log's."""

    first: int
    last: int
    head: int
    reference: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Its webhook took the ``count`` events with ``digest`` behind ``after`` up to ``through``."""

    after: int
    through: int
    count: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Take everything away."""

    by: str


Command = Add | Rotate | SetWebhook | Suspend | Resume | OrderRedrive | Confirm | Remove
