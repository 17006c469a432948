# SPDX-License-Identifier: Apache-2.0
"""Money leases: a machine's right to take cash, for a day, as long as the log is sealed in time.

What a citizen puts into a machine must be provable. Where the centre cannot seal, it renews no
lease, and each machine stops taking cash once its last one has run out; nobody has to notice, and
nothing has to be sent (ADR-0015).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common.canonical import Json
from services.common.clock import Clock, to_micros
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger
from services.kiosk_sync import protocol

_LOG = get_logger(__name__)


class Seals(Protocol):
    """What the centre knows about sealing."""

    def lag_s(self) -> float:
        """Return the age of the oldest event under no checkpoint, seconds; 0 when there is none.

        Raises:
            Unavailable: the log's database is down.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """For how long, and what is late.

    Attributes:
        lease_s: how long a lease holds, seconds.
        late_s: with sealing further behind than this no lease is given, seconds.
    """

    lease_s: int
    late_s: int


class MoneyLeases:
    """Gives leases; every request of a machine that may speak renews its own."""

    def __init__(
        self, seals: Seals, key: Ed25519PrivateKey, clock: Clock, terms: LeaseTerms
    ) -> None:
        """Bind what is known about sealing and the centre's signing key."""
        self._seals = seals
        self._key = key
        self._clock = clock
        self._terms = terms

    def lease(self, serial: str) -> dict[str, Json] | None:
        """Return a signed lease from now on for one machine; None while sealing is late.

        Raises:
            Unavailable: the log's database is down.
        """
        lag_s = self._seals.lag_s()
        if lag_s > self._terms.late_s:
            metrics.money_lease_withheld_total.inc()
            _LOG.warning("money_lease_withheld", seal_lag_s=round(lag_s))
            return None
        now = self._clock.now()
        until = now + timedelta(seconds=self._terms.lease_s)
        return protocol.sign_lease(
            self._key, serial, protocol.Lease(from_us=to_micros(now), until_us=to_micros(until))
        )
