# SPDX-License-Identifier: Apache-2.0
"""An SMPP 3.4 session to the SMS centre (transceiver): messages out, delivery receipts in.

One reader owns the connection; senders write under a lock and wait for their own response by
sequence number. No answer within the time-out is an unknown outcome, never a failure.
"""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import smpplib.client
import smpplib.consts
import smpplib.exceptions

from services.common.clock import Clock
from services.common.errors import Conflict, Refused, Unavailable, UnknownOutcome
from services.common.telemetry.logs import get_logger
from services.notify.application.ports import NotTaken, Receipt, Taken

_LOG = get_logger(__name__)
_SOCKET_TIMEOUT_S: Final = 5
_TON_ALPHANUMERIC: Final = 5
_TON_INTERNATIONAL: Final = 1
_NPI_ISDN: Final = 1
_THROTTLED: Final = frozenset({0x58, 0x14})
_TEMPORARY: Final = 0x45
_RECEIPT: Final = re.compile(r"id:(?P<id>\S+).*?stat:(?P<state>[A-Z]+)")
_STATES: Final = frozenset({"DELIVRD", "EXPIRED", "UNDELIV", "REJECTD"})


@dataclass(slots=True)
class _Answer:
    arrived: threading.Event = field(default_factory=threading.Event)
    status: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where and as whom to bind; ``sender`` is the registered brand name."""

    host: str
    port: int
    system_id: str
    password: str
    sender: str


class SMPPGateway:
    """Implements ``SMSGateway``; ``run`` keeps the session until it is told to stop."""

    name = "smsc"

    def __init__(
        self,
        account: Account,
        clock: Clock,
        on_receipt: Callable[[Receipt], bool],
        *,
        response_timeout_s: float = 10.0,
    ) -> None:
        """Bind; nothing is opened before ``run``.

        Args:
            account: where and as whom.
            clock: for pauses between connections.
            on_receipt: called for each delivery receipt; False or Unavailable makes the centre
                send it again.
            response_timeout_s: after this a submission's outcome is unknown.
        """
        self._account = account
        self._clock = clock
        self._on_receipt = on_receipt
        self._timeout_s = response_timeout_s
        self._client: Any = None
        self._writing = threading.Lock()
        self._waiting: dict[int, _Answer] = {}

    def ready(self) -> bool:
        """Say whether the session stands."""
        return self._client is not None

    def send(self, phone: str, text: str) -> Taken | NotTaken:
        """See ``SMSGateway.send``."""
        client, answer = self._client, _Answer()
        if client is None:
            return NotTaken(error="not_sent")
        sequence = 0
        try:
            with self._writing:
                pdu = smpplib.smpp.make_pdu(
                    "submit_sm",
                    client=client,
                    source_addr_ton=_TON_ALPHANUMERIC,
                    source_addr=self._account.sender,
                    dest_addr_ton=_TON_INTERNATIONAL,
                    dest_addr_npi=_NPI_ISDN,
                    destination_addr=phone,
                    short_message=text.encode("ascii"),
                    registered_delivery=True,
                )
                sequence = pdu.sequence
                self._waiting[sequence] = answer
                client.send_pdu(pdu)
        except (smpplib.exceptions.ConnectionError, OSError) as error:
            raise UnknownOutcome("sms", {"reason": "connection_lost"}) from error
        except smpplib.exceptions.PDUError:
            return NotTaken(error="not_sent")  # not bound: refused before anything was written
        else:
            return self._outcome(answer)
        finally:
            self._waiting.pop(sequence, None)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Keep a bound session until ``stopping``; reconnects by itself, pausing 0.5 s."""
        while not stopping():
            try:
                self._session(stopping)
            except (smpplib.exceptions.ConnectionError, smpplib.exceptions.PDUError, OSError) as e:
                _LOG.warning("smsc_session_lost", error=type(e).__name__)
            self._close()
            if not stopping():
                self._clock.sleep(0.5)

    def _outcome(self, answer: _Answer) -> Taken | NotTaken:
        if not answer.arrived.wait(self._timeout_s) or answer.status is None:
            raise UnknownOutcome("sms", {"reason": "no_answer"})
        if answer.status == 0:
            return Taken(provider_message=answer.message)
        if answer.status in _THROTTLED:
            return NotTaken(error="throttled")
        return NotTaken(error=f"smpp_{answer.status:#04x}")

    def _session(self, stopping: Callable[[], bool]) -> None:
        account = self._account
        client = smpplib.client.Client(
            account.host,
            account.port,
            timeout=_SOCKET_TIMEOUT_S,
            logger_name="smpplib",
            allow_unknown_opt_params=True,  # SMPP 3.4, 3.3: what we do not know is left aside
        )
        # The library's debug log prints whole messages, numbers and codes included.
        client.logger.setLevel(logging.ERROR)
        client.set_message_sent_handler(lambda pdu, **_: self._arrived(pdu))
        client.set_message_received_handler(lambda pdu, **_: self._received(pdu))
        client.set_error_pdu_handler(self._arrived)
        try:
            client.connect()
            client.bind_transceiver(system_id=account.system_id, password=account.password)
            if client.state != smpplib.consts.SMPP_CLIENT_STATE_BOUND_TRX:
                raise smpplib.exceptions.ConnectionError("the centre refused the login")
            self._client = client
            _LOG.info("smsc_session_bound")
            while not stopping():
                client.read_once()
            client.unbind()
        finally:
            self._client = None
            client.disconnect()

    def _arrived(self, pdu: Any) -> None:
        answer = self._waiting.get(pdu.sequence)
        if answer is not None:
            answer.status = int(pdu.status)
            answer.message = _text(getattr(pdu, "message_id", b""))
            answer.arrived.set()

    def _received(self, pdu: Any) -> int:
        found = _RECEIPT.search(_text(getattr(pdu, "short_message", b"")))
        if found is None:
            return 0  # not a receipt; nobody writes to a brand name
        state = found["state"] if found["state"] in _STATES else "UNKNOWN"
        try:
            known = self._on_receipt(Receipt(provider_message=found["id"], state=state))
        except (Unavailable, Conflict, Refused):
            known = False
        return 0 if known else _TEMPORARY

    def _close(self) -> None:
        for answer in list(self._waiting.values()):
            answer.arrived.set()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.rstrip(b"\x00").decode("ascii", "replace")
    return str(value or "")
