# SPDX-License-Identifier: Apache-2.0
"""The bank's statement, read regularly: money whose notification was lost is found here.

Runs in every replica: each line is the same keyed request as its notification, and how far the
statement was read is an event, so the second replica changes nothing.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.common.canonical import Json
from services.common.errors import Conflict, Refused
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.common.telemetry.logs import get_logger
from services.payment.application.commands import RecordBankCredit, record_bank_credit

SOURCE: Final = "timer:payment.statement"
_READ: Final = "payment.statement_read"
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One credit on the statement.

    Attributes:
        number: the bank's own number of the line, growing.
        credit: the money; None for a line that cannot be read or whose signature is wrong.
    """

    number: int
    credit: RecordBankCredit | None


class StatementPort(Protocol):
    """The bank's statement of one account."""

    provider: str
    account: str

    def after(self, number: int) -> Sequence[StatementLine]:
        """Return lines after ``number``, oldest first, a page at most; raises Unavailable."""
        ...


class ReadStatement:
    """One look at the statement."""

    def __init__(self, recorder: Recorder, statement: StatementPort) -> None:
        """Bind the log and the bank."""
        self._recorder = recorder
        self._bank = statement
        self._stream = f"payment-statement.{statement.provider}.{statement.account}"

    def once(self) -> int:
        """Record everything new on the statement; returns how many credits nobody had told of.

        Raises:
            Unavailable: bank or log down; the next look makes up for it.
        """
        version, through = self._read_so_far()
        lines = self._bank.after(through)
        if not lines:
            return 0
        outcomes = Counter(self._take(line) for line in lines)
        if outcomes["missed"]:
            _LOG.warning("callbacks_missed", count=outcomes["missed"])
        data: dict[str, Json] = {
            "provider": self._bank.provider,
            "account": self._bank.account,
            "through": lines[-1].number,
            "credits": len(lines),
            "amount_vnd": sum(line.credit.amount_vnd for line in lines if line.credit),
            "missed": outcomes["missed"],
            "disputed": outcomes["disputed"],
            "unreadable": outcomes["unreadable"],
        }
        change = Change(
            stream=self._stream, expected_version=version, facts=(Fact(type=_READ, data=data),)
        )
        try:
            self._recorder.record(
                [change], source=SOURCE, key=f"{self._bank.account}/{lines[-1].number}",
                cause=self._cause(), asked=[self._bank.account, lines[-1].number],
            )  # fmt: skip
        except Conflict:
            _LOG.info("statement_read_elsewhere")  # by another replica, as far or farther
        return outcomes["missed"]

    def _take(self, line: StatementLine) -> str:
        """Record one line; returns missed, known, disputed or unreadable."""
        if line.credit is None:
            _LOG.warning("statement_line_unreadable", number=line.number)
            return "unreadable"
        try:
            done = record_bank_credit(self._recorder, line.credit, correlation_id=str(uuid.uuid4()))
        except Refused:
            return "disputed"  # told otherwise before: it is on the worklist now
        return "known" if done.duplicate else "missed"

    def _read_so_far(self) -> tuple[int, int]:
        version = self._recorder.log.stream_version(self._stream)
        if not version:
            return 0, 0
        (last,) = self._recorder.log.read_stream(self._stream, after_version=version - 1, limit=1)
        return version, int(str(last.data["through"]))

    def _cause(self) -> Cause:
        return Cause(correlation_id=str(uuid.uuid4()), actor=f"bank:{self._bank.provider}")
