# SPDX-License-Identifier: Apache-2.0
"""What notify needs from a message provider."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The provider durably took the message and named it."""

    provider_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """The provider, or the way to it, took nothing.

    Attributes:
        error: ``throttled``, ``not_sent`` (both may be attempted again), or the provider's code.
    """

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A delivery receipt; ``state`` is one of the contract's delivery states."""

    provider_message: str
    state: str


class SMSGateway(Protocol):
    """Sends one text to one number, at most once for each call."""

    name: str

    def ready(self) -> bool:
        """Say whether a session stands, without waiting for one."""
        ...

    def send(self, phone: str, text: str) -> Taken | NotTaken:
        """Hand over one message and wait for the provider's answer.

        Args:
            phone: international digits without ``+``, ``84912345678``.
            text: one unsegmented GSM-7 message.

        Raises:
            UnknownOutcome: no answer; it may or may not have gone out. Never retried.
        """
        ...
