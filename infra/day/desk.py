# SPDX-License-Identifier: Apache-2.0
"""What one person of the day can do, and what officials do with that person's dossier."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from infra.day.plan import Visit
from infra.hands import Books, GaveUpError, Hands
from infra.local.settings import MACHINES, Stack
from infra.people import notes_for
from services.common.clock import VIETNAM

PATIENCE_S: Final = 90.0
CELLS: Final = 60
DESKS: Final = {"VT01": "cb001", "CT01": "cb002"}
"""Who works at the office of each machine."""
FINANCE: Final = ("tc001", "tc002")
"""Two finance officers: one asks, the other agrees."""
_DAYS_MAX: Final = 15
_SMS_PATIENCE_S: Final = 15.0
_SMS_TRIES: Final = 2
_STAMP: Final = "%Y%m%d%H%M%S"


@dataclass(slots=True)
class Day:
    """What everybody shares: addresses, books, free cells, and who is told of progress."""

    stack: Stack
    tell: Callable[[str], None]
    books: Books = field(init=False)
    cells: dict[str, SimpleQueue[int]] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with empty machines."""
        self.books = Books(self.stack)
        self.cells = {machine: SimpleQueue() for machine in MACHINES}
        for queue in self.cells.values():
            for cell in range(1, CELLS + 1):
                queue.put(cell)


class Desk(Hands):
    """One visit: the citizen's hands, and the desks behind the machine."""

    def __init__(self, day: Day, visit: Visit) -> None:
        """Bind the day and who comes."""
        official = DESKS[visit.machine]
        super().__init__(
            day.stack, PATIENCE_S, machine=visit.machine, official=official, books=day.books
        )
        self.day, self.visit = day, visit
        self.dossier = self.code = ""

    # --- at the machine -------------------------------------------------------------------------

    def hand_in(self) -> dict[str, Any] | None:
        """Hand the pouch in; returns what the screen asks for, None for nothing."""
        self.dossier = self.deposit(self.visit.citizen())
        self.day.tell("handed in")
        return self.await_offer(self.dossier)

    def pay(self, offer: dict[str, Any] | None) -> None:
        """Pay what the screen asks for, and wait until it says so."""
        if offer is not None:
            if self.visit.pays == "qr":
                self.pay_by_qr(offer)
            else:
                self.pay_by_cash(self.dossier, notes_for(int(offer["amount_vnd"])))
            self.await_paid(self.dossier)

    def lay_in(self) -> int:
        """Staff lay the result into a free cell; returns its number."""
        cell = self.day.cells[self.visit.machine].get(timeout=PATIENCE_S)
        self._edge(
            "POST", "/load", {"dossier": self.dossier, "cell": cell, "staff": self._official}
        )
        self.day.tell("laid into a cell")
        return cell

    def take(self, cell: int, code: str) -> None:
        """Type the code and take the result."""
        if not self.collect(self.dossier, code):
            raise GaveUpError(f"{self.visit.way} {self.dossier}: the machine kept the result")
        self.day.cells[self.visit.machine].put(cell)
        self.day.tell("collected")

    def newest_message(self, phone: str) -> str:
        """Return the last text message on a phone."""
        messages = self._books.look("smsc-http")["messages"]
        mine = [one["text"] for one in messages if one["destination"].endswith(phone[1:])]
        return str(mine[-1])

    def mistype(self, code: str) -> None:
        """Type a wrong code; the machine must say no."""
        wrong = f"{(int(code) + 1) % 10**6:06d}"
        body = {"dossier": self.dossier, "code": wrong}
        self._must_say_no(lambda: self._edge("POST", "/collect", body))

    def leave_lying(self, code: str) -> None:
        """Open the cell and take nothing."""
        body = {"dossier": self.dossier, "code": code, "leave": True}
        if self._edge("POST", "/collect", body)["released"]:
            raise GaveUpError(f"{self.dossier}: given although nobody took it")

    def take_back(self) -> None:
        """Staff take the result out of its cell; wait until the office knows."""
        self.day.cells[self.visit.machine].put(self.recall(self.dossier))
        self._until(f"recall of {self.dossier}", lambda: not self.file()["ready_at"])

    def await_code(self, phone: str) -> str:
        """Wait for the code; who waits too long asks the office to send it again."""
        patience, self._patience_s = self._patience_s, _SMS_PATIENCE_S
        try:
            for _ in range(_SMS_TRIES):
                try:
                    return super().await_code(phone)
                except GaveUpError:
                    self.act("tell-again", reason="Người dân không nhận được tin nhắn")
        finally:
            self._patience_s = patience
        return super().await_code(phone)

    def await_further(self, amount: int) -> dict[str, Any]:
        """Wait until the screen asks for a further fee of ``amount`` đồng."""

        def asked() -> dict[str, Any] | None:
            offer: dict[str, Any] | None = self._screen(self.dossier)["offer"]
            return offer if offer is not None and offer["amount_vnd"] == amount else None

        return self._until(f"a further fee of {self.dossier}", asked)

    # --- in the office --------------------------------------------------------------------------

    def take_on(self) -> None:
        """An official accepts the dossier."""
        self.code = self.accept(self.dossier)
        self.day.tell("accepted")

    def act(self, verb: str, **words: object) -> dict[str, Any]:
        """An official does something with the dossier; repeated with the same key until done."""
        return self.command(
            f"{self._stack.http('intake-web-http')}/office/v1/dossiers/{self.dossier}/{verb}", words
        )

    def file(self) -> dict[str, Any]:
        """Return the dossier as the office sees it."""
        url = f"{self._stack.http('intake-web-http')}/office/v1/dossiers/{self.dossier}"
        return self._call("GET", url)

    def await_status(self, status: int) -> None:
        """Wait until the office sees the dossier in ``status``."""
        self._until(
            f"{self.visit.way} {self.dossier} in {status}",
            lambda: self.file()["status"] == status,
        )

    def put_off(self) -> None:
        """An official names a later day: the first working day a week after the old one."""
        day = date.fromisoformat(str(self.file()["due_at"])[:10]) + timedelta(days=7)
        for _ in range(_DAYS_MAX):
            try:
                self.act("reschedule", due_on=day.isoformat(), reason="Chờ xác minh")
            except GaveUpError as refused:
                if "not_a_working_day" not in str(refused):
                    raise
                day += timedelta(days=1)
            else:
                return
        raise GaveUpError(f"no working day found for {self.dossier}")

    def finished(self) -> None:
        """The agency finishes it in the one-stop system; wait until the office knows."""
        due = datetime.fromisoformat(self.file()["due_at"]).astimezone(VIETNAM)
        self.finish(self.code, self.visit.machine, due.strftime(_STAMP))
        self.await_status(9)

    def must_refuse(self, verb: str, reason: str) -> None:
        """Try something that the office's rules forbid; they must name ``reason``."""
        self._must_say_no(partial(self.act, verb), reason)

    def register_at_counter(self, accepted: datetime, due: datetime) -> None:
        """The one-stop system's own officials take the dossier at their counter."""
        told = {
            "MaHoSo": self.code, "MaTTHC": self.visit.procedure, "ChuHoSo": self.visit.name,
            "SoDienThoai": self.visit.phone, "NgayTiepNhan": accepted.strftime(_STAMP),
            "NgayHenTra": due.strftime(_STAMP),
        }  # fmt: skip
        self._call("POST", f"{self._stack.http('one-stop')}/control/register", told)

    def await_known(self) -> str:
        """Wait until the office's list of finished dossiers has the code; returns the id."""
        url = f"{self._stack.http('intake-web-http')}/office/v1/dossiers?status=9&limit=200"

        def found() -> str | None:
            rows = self._call("GET", url)["dossiers"]
            return next((row["dossier"] for row in rows if row["code"] == self.code), None)

        return self._until(f"{self.code} from the one-stop system", found)

    # --- money ----------------------------------------------------------------------------------

    def money(self) -> dict[str, Any]:
        """Return the payment as the finance office sees it."""
        url = f"{self._stack.http('payment-web-http')}/payment/v1/dossiers/{self.dossier}"
        return self._call("GET", url)

    def await_advance(self, amount: int) -> None:
        """Wait until money short of the fee is booked."""
        self._until(f"advance of {self.dossier}", lambda: self.money()["advance_vnd"] == amount)

    def await_overpaid(self, amount: int) -> None:
        """Wait until a surplus of ``amount`` đồng is booked."""
        self._until(f"surplus of {self.dossier}", lambda: self.money()["overpaid_vnd"] == amount)

    def has_paid(self) -> bool:
        """Say whether any money came in."""
        money = self.money()
        return bool(money["cash_vnd"] + money["bank_vnd"])

    def await_owed(self) -> int:
        """Wait until something is owed to the citizen; returns how much, in đồng."""
        return int(
            self._until(
                f"{self.visit.way} {self.dossier}: something owed",
                lambda: self.money()["owed_vnd"],
            )
        )

    def refund(self) -> None:
        """Two finance officers pay back what is owed, by bank transfer."""
        base = f"{self._stack.http('payment-web-http')}/payment/v1/dossiers/{self.dossier}/refunds"
        first, second = FINANCE
        refund = self.command(base, {}, by=first)["refund"]
        self.command(f"{base}/{refund}/approve", {}, by=second)
        self.command(f"{base}/{refund}/pay", {"reference": f"UNC{self.visit.number}"}, by=first)

    def release_advance(self) -> None:
        """A finance officer gives up money that stayed short of the fee."""
        base = f"{self._stack.http('payment-web-http')}/payment/v1/dossiers/{self.dossier}"
        self.command(f"{base}/release-advance", {"reason": "Người dân không nộp đủ"}, by=FINANCE[0])

    # --- over HTTP ------------------------------------------------------------------------------

    def command(self, url: str, words: dict[str, Any], *, by: str | None = None) -> dict[str, Any]:
        """Ask with one idempotency key until it is answered; conflicts and waits are tried again.

        Raises:
            GaveUpError: refused for good, or patience is over.
        """
        token = self._stack.tokens[by or self._official]
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}

        def answered() -> dict[str, Any] | None:
            answer = self._http.post(url, json=words, headers=headers, timeout=20)
            if answer.status_code >= 500:  # noqa: PLR2004 - HTTP
                return None
            body: dict[str, Any] = answer.json()
            if answer.ok:
                return body or {"done": True}
            if body.get("code") in {"conflict", "not_registered"}:
                return None
            raise GaveUpError(f"{url}: {answer.status_code} {answer.text[:300]}")

        return self._until(url, answered)

    def _must_say_no(self, act: Callable[[], object], reason: str = "") -> None:
        try:
            act()
        except GaveUpError as refused:
            if reason not in str(refused):
                raise
            return
        raise GaveUpError(f"{self.visit.way} {self.dossier}: done although forbidden")
