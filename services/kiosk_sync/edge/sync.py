# SPDX-License-Identifier: Apache-2.0
"""Synchronisation: the journal goes up, orders and the catalogue come down.

The upload cursor moves only to a place whose hash the centre and the machine agree on. A record is
sent until it is confirmed, whatever the centre answers; two histories stop the upload for good and
leave the machine its local duties (ADR-0005).
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Final, cast

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common.canonical import JsonObject, canonical_json
from services.common.errors import Unavailable
from services.kiosk_sync import protocol
from services.kiosk_sync.edge.agent.lease import keep_lease
from services.kiosk_sync.edge.agent.machine import Machine
from services.kiosk_sync.edge.agent.orders import apply_order
from services.kiosk_sync.edge.centre import Answer, Centre
from services.kiosk_sync.edge.store.store import DOWN, UP, Batch, Store

FORK: Final = "fork"
ALARM_UP: Final = "alarm.up"
ALARM_DOWN: Final = "alarm.down"
ALARM_LEASE: Final = "alarm.lease"
_BYTES_MAX: Final = 900_000  # before compression, so the compressed body is below the limit
_OK: Final = 200
_CONFLICT: Final = 409
_TOO_LARGE: Final = 413
_LOCKED: Final = 423
_LATER: Final = frozenset({408, 413, 425, 429})
_SERVER_ERROR: Final = 500
_CATALOGUE_S: Final = 60.0
_IDLE_S: Final = 0.2
_LOG = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a lane came to.

    Attributes:
        outcome: ``sent`` go on at once · ``idle`` nothing to do · ``wait`` try again later ·
            ``locked`` the centre or the machine refuses; people must act.
        retry_after_s: what the centre asked for.
    """

    outcome: str
    retry_after_s: int | None = None


SENT: Final = Step("sent")
IDLE: Final = Step("idle")
LATER: Final = Step("wait")
LOCKED: Final = Step("locked")


class Uploader:
    """Brings the journal to the centre, one batch in flight."""

    def __init__(self, store: Store, centre: Centre, sign_key: Ed25519PrivateKey) -> None:
        """Bind the journal, the connection and the machine's signing key."""
        self._store = store
        self._centre = centre
        self._key = sign_key
        self._greeted = False
        self._records_max = protocol.BATCH_RECORDS_MAX

    def step(self) -> Step:
        """Greet, or send one batch, or find that there is nothing to send.

        Raises:
            Unavailable: no answer; whether the centre has the batch shows at the next one.
        """
        if self._store.meta(FORK) is not None:
            return LOCKED
        if not self._greeted:
            seq, head = self._store.head()
            return self._read(self._centre.hello(seq + 1, head))
        batch = self._store.pending(records_max=self._records_max, bytes_max=_BYTES_MAX)
        if batch is None:
            return IDLE
        return self._read(self._centre.upload(self._encode(batch)))

    def _encode(self, batch: Batch) -> bytes:
        serial, epoch = self._store.identity.serial, self._store.identity.epoch
        signature = protocol.sign_batch(self._key, serial, epoch, batch.records, batch.head)
        return protocol.encode_upload(
            protocol.Upload(
                serial=serial, epoch=epoch, head=batch.head, signature=signature,
                records=batch.records, parcels=batch.parcels, keys=batch.keys,
            )
        )  # fmt: skip

    def _read(self, answer: Answer) -> Step:
        if answer.status == _OK or (
            answer.status == _CONFLICT and answer.body.get("error") == "gap"
        ):
            return self._agree(answer.body)
        if answer.status == _LOCKED:
            # People may lift it, so the machine asks again from the greeting on.
            self._greeted = False
            self._store.note(ALARM_UP, f"423 {answer.body.get('code')}")
            return LOCKED
        if answer.status == _TOO_LARGE:
            self._records_max = max(1, self._records_max // 2)
        if answer.status in _LATER or answer.status >= _SERVER_ERROR:
            return Step("wait", answer.retry_after_s)
        self._store.note(ALARM_UP, f"{answer.status} {answer.body.get('code')}")
        _LOG.error("upload_refused", status=answer.status, code=answer.body.get("code"))
        return LOCKED

    def _agree(self, body: JsonObject) -> Step:
        next_seq, head = body.get("next"), body.get("head")
        if not isinstance(next_seq, int) or not isinstance(head, str):
            return LATER  # not the centre's answer: a captive portal, for example
        before = self._store.lane(UP)
        if not self._store.confirm(next_seq - 1, head):
            self._store.note(FORK, f"{next_seq} {head}")
            _LOG.critical("journal_forked", next_seq=next_seq)
            return LOCKED
        moved = self._store.lane(UP) != before or not self._greeted
        self._greeted = True
        self._store.forget(ALARM_UP)
        return SENT if moved else LATER  # an answer that changes nothing must not spin


class Receiver:
    """Brings orders and the catalogue to the machine."""

    def __init__(
        self,
        machine: Machine,
        orders: Centre,
        catalogue: Centre,
        *,
        wait_s: int,
        catalogue_s: float = _CATALOGUE_S,
    ) -> None:
        """Bind the machine and its two connections.

        Args:
            machine: who receives.
            orders: connection for orders.
            catalogue: connection for the catalogue.
            wait_s: how long a poll for orders may hang.
            catalogue_s: how old the catalogue may get.
        """
        self._machine = machine
        self._orders = orders
        self._catalogue = catalogue
        self._wait_s = wait_s
        self._catalogue_s = catalogue_s
        self._catalogue_at: float | None = None

    def step(self) -> Step:
        """Refresh the catalogue when it is due, then apply the next orders.

        Raises:
            Unavailable: no answer.
        """
        self._refresh()
        answer = self._orders.orders(self._machine.store.lane(DOWN), self._poll_s())
        documents = answer.body.get("orders")
        if answer.status != _OK or not isinstance(documents, list):
            return LOCKED if answer.status == _LOCKED else Step("wait", answer.retry_after_s)
        try:
            for document in documents:
                apply_order(self._machine, cast("JsonObject", document))
        except protocol.ProtocolError as error:
            self._machine.store.note(ALARM_DOWN, f"order refused: {error}")
            _LOG.error("order_refused", reason=str(error))
            return LATER
        self._machine.store.forget(ALARM_DOWN)
        return SENT if documents else IDLE

    def _poll_s(self) -> int:
        """Return how long this poll may hang: a long one would hold up the catalogue."""
        now = self._machine.clock.monotonic_s()
        asked_at = now if self._catalogue_at is None else self._catalogue_at
        due_s = math.ceil(asked_at + self._catalogue_s - now)
        return min(self._wait_s, max(1, due_s))

    def _refresh(self) -> None:
        now = self._machine.clock.monotonic_s()
        if self._catalogue_at is not None and now < self._catalogue_at + self._catalogue_s:
            return
        answer = self._catalogue.catalogue()
        procedures = answer.body.get("procedures")
        if answer.status != _OK or not isinstance(procedures, list):
            return
        self._renew(answer.body.get("money_lease"))
        with self._machine.store.transaction() as tx:
            tx.rows("DELETE FROM catalogue")
            for procedure in procedures:
                known = cast("JsonObject", procedure)
                tx.rows(
                    "INSERT INTO catalogue VALUES (?, ?)", str(known["code"]), canonical_json(known)
                )
        if procedures:
            self._catalogue_at = now

    def _renew(self, document: object) -> None:
        if not isinstance(document, dict):
            return  # sealing is late; the lease that is kept runs out by itself
        try:
            keep_lease(self._machine, document)
        except protocol.ProtocolError as error:
            self._machine.store.note(ALARM_LEASE, f"lease refused: {error}")
            _LOG.error("lease_refused", reason=str(error))
        else:
            self._machine.store.forget(ALARM_LEASE)


class Backoff:
    """Full jitter: a random wait up to a bound that doubles from first to last."""

    def __init__(self, first_s: float, last_s: float) -> None:
        """Bind both bounds, seconds."""
        self._first_s = first_s
        self._last_s = last_s
        self._failures = 0
        self._random = SystemRandom()

    def reset(self) -> None:
        """Begin again at the first bound."""
        self._failures = 0

    def next_s(self, retry_after_s: int | None = None) -> float:
        """Return how long to wait now; at least what the centre asked for."""
        bound = min(self._last_s, self._first_s * 2.0**self._failures)
        self._failures = min(self._failures + 1, 30)
        return max(self._random.uniform(0, bound), float(retry_after_s or 0))

    def longest_s(self) -> float:
        """Return the last bound, for what only people can change."""
        return self._last_s


def run_lane(step: Callable[[], Step], backoff: Backoff, stop: threading.Event) -> None:
    """Repeat a lane's step until ``stop``; no answer and no error ends it."""
    while not stop.is_set():
        try:
            done = step()
        except Unavailable:
            done = LATER
        except Exception:  # noqa: BLE001 - the lane must outlive any single answer
            _LOG.exception("lane_step_failed")
            done = LATER
        if done.outcome == "sent":
            backoff.reset()
        elif done.outcome == "idle":
            backoff.reset()
            stop.wait(_IDLE_S)
        elif done.outcome == "locked":
            stop.wait(backoff.longest_s())
        else:
            stop.wait(backoff.next_s(done.retry_after_s))


def confirmed(store: Store) -> int:
    """Return the last sequence the centre confirmed."""
    return store.lane(UP)
