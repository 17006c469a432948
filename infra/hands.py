# SPDX-License-Identifier: Apache-2.0
"""The hands of people around a local installation: citizens, payers, officials, staff.

They know only what people know: addresses, screens, text messages. Every act is repeated until it
is answered, with the same idempotency key where it is a command.
"""

import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import requests

from infra.local.settings import MACHINE, MACHINES, Stack

T = TypeVar("T")
PATIENCE_S: Final = 60.0
_CODE: Final = re.compile(r"Ma nhan:?\s*(\d{6})")
_PAUSE_S: Final = 0.05
_PAUSE_MAX_S: Final = 0.5
_FRESH_S: Final = 0.3
OFFICIAL: Final = "cb001"


class GaveUpError(Exception):
    """Something a person waited for did not happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citizen:
    """A person who hands in a dossier; all of them are made up."""

    name: str
    phone: str
    procedure: str
    copies: int
    pouch: str
    pays: str
    pages: int = 1
    exemption: str | None = None


class Books:
    """The outside world's books, read by many people but fetched at most a few times a second."""

    def __init__(self, stack: Stack) -> None:
        """Know the addresses."""
        self._stack = stack
        self._lock = threading.Lock()
        self._read: dict[str, tuple[float, dict[str, Any]]] = {}

    def look(self, name: str) -> dict[str, Any]:
        """Return the book of a sandbox, not older than ``_FRESH_S``. Raises RequestException."""
        with self._lock:
            at, book = self._read.get(name, (-_FRESH_S, {}))
            if time.monotonic() - at >= _FRESH_S:
                answer = requests.get(f"{self._stack.http(name)}/control/book", timeout=10)
                answer.raise_for_status()
                book = answer.json()
                self._read[name] = (time.monotonic(), book)
            return book


class Hands:
    """What people do, over HTTP only."""

    def __init__(
        self,
        stack: Stack,
        patience_s: float = PATIENCE_S,
        *,
        machine: str = MACHINE,
        official: str = OFFICIAL,
        books: Books | None = None,
    ) -> None:
        """Know the addresses, the machine, who works at the desk, and how long people wait."""
        self._stack = stack
        self._machine = machine
        self._official = official
        self._patience_s = patience_s
        self._books = books or Books(stack)
        self._http = requests.Session()

    def deposit(self, citizen: Citizen) -> str:
        """Hand in a pouch at the machine; returns the dossier's id once the screen says so."""
        body = {
            "procedure": citizen.procedure,
            "copies": citizen.copies,
            "papers": ["Tờ khai", "Bản sao giấy tờ"],
            "name": citizen.name,
            "phone": citizen.phone,
            "pouch": citizen.pouch,
            "pages": citizen.pages,
            "exemption": citizen.exemption,
        }
        self._until(
            f"{citizen.procedure} on the machine's screen",
            lambda: citizen.procedure in self._edge("GET", "/state")["procedures"],
        )
        return str(self._edge("POST", "/deposit", body)["dossier"])

    def await_offer(self, dossier: str) -> dict[str, Any] | None:
        """Wait for the machine's screen to ask the fee; None where nothing is due."""

        def offered() -> tuple[dict[str, Any] | None] | None:
            screen = self._edge("GET", f"/dossiers/{dossier}")
            if screen.get("offer"):
                return (screen["offer"],)
            return (None,) if self.settled(dossier) else None

        return self._until(f"the fee of {dossier}", offered)[0]

    def pay_by_qr(self, offer: dict[str, Any]) -> str:
        """Scan the code on the screen with a banking app; returns the bank's reference."""
        url = f"{self._stack.http('bank')}/control/pay"
        return str(self._call("POST", url, {"qr": offer["qr"]})["reference"])

    def pay_by_cash(self, dossier: str, notes: list[int]) -> int:
        """Feed notes to the machine; returns what its screen says it took, in đồng."""
        answer = self._edge("POST", "/cash", {"dossier": dossier, "notes": notes})
        return int(answer["credited_vnd"])

    def abandon_cash(self, dossier: str, notes: list[int]) -> int:
        """Feed some notes and walk away; returns what the machine took, in đồng."""
        body: dict[str, object] = {"dossier": dossier, "notes": notes, "abandon": True}
        return int(self._edge("POST", "/cash", body)["credited_vnd"])

    def await_paid(self, dossier: str) -> None:
        """Wait for the machine's screen to say that the fee is paid."""
        self._until(f"payment of {dossier}", lambda: self._screen(dossier).get("paid"))

    def settled(self, dossier: str) -> bool:
        """Ask the finance office's API whether the fee is covered."""
        url = f"{self._stack.http('payment-web-http')}/payment/v1/dossiers/{dossier}"
        answer = self._http.get(url, headers=self._login(), timeout=10)
        return bool(answer.ok and answer.json()["settled"])

    def accept(self, dossier: str) -> str:
        """An official accepts the dossier; returns its code."""
        url = f"{self._stack.http('intake-web-http')}/office/v1/dossiers/{dossier}/accept"
        headers = {**self._login(), "Idempotency-Key": str(uuid.uuid4())}

        def accepted() -> Any:
            answer = self._http.post(url, json={}, headers=headers, timeout=15)
            if answer.status_code == 409 and answer.json()["code"] in {  # noqa: PLR2004
                "fee_unpaid", "not_registered", "conflict",
            }:  # fmt: skip
                return None
            answer.raise_for_status()
            return answer.json()["code"]

        return str(self._until(f"acceptance of {dossier}", accepted))

    def finish(self, code: str, machine: str, due: str = "") -> None:
        """The agency's officials finish the dossier in the one-stop system; they see its day."""
        url = f"{self._stack.http('one-stop')}/control/finish"
        asked = {"MaHoSo": code, "machine": machine, "NgayHenTra": due}

        def finished() -> bool:
            answer = self._http.post(url, json=asked, timeout=10)
            return answer.ok  # 404 until our report of the acceptance has arrived there

        self._until(f"{code} at the one-stop system", finished)

    def await_completed(self, dossier: str) -> None:
        """Wait until the office knows that the result is to be returned."""
        url = f"{self._stack.http('intake-web-http')}/office/v1/dossiers/{dossier}"

        def completed() -> bool:
            answer = self._http.get(url, headers=self._login(), timeout=10)
            return bool(answer.ok and answer.json()["status"] >= 9)  # noqa: PLR2004

        self._until(f"completion of {dossier}", completed)

    def load(self, dossier: str, cell: int) -> None:
        """Staff lay the result into a cell."""
        self._edge("POST", "/load", {"dossier": dossier, "cell": cell, "staff": "cb001"})

    def recall(self, dossier: str) -> int:
        """Staff take a result out of its cell again; returns the cell."""
        body: dict[str, object] = {"dossier": dossier, "staff": self._official}
        return int(self._edge("POST", "/recall", body)["cell"])

    def empty_bin(self, seal: str, second: str = "cb009") -> list[str]:
        """Two officials take the pouches out into a sealed bag; none if others were faster."""
        body: dict[str, object] = {
            "staff": self._official, "second_staff": second, "seal": seal,
        }  # fmt: skip
        try:
            return [str(pouch) for pouch in self._edge("POST", "/empty-bin", body)["pouches"]]
        except GaveUpError as refused:
            if "bin_empty" not in str(refused):
                raise
            return []

    def await_code(self, phone: str) -> str:
        """Wait for the text message with the collection code, on the citizen's own phone."""

        def told() -> str | None:
            for message in self._books.look("smsc-http")["messages"]:
                found = _CODE.search(message["text"])
                if message["destination"].endswith(phone[1:]) and found:
                    return found.group(1)
            return None

        return self._until(f"the code for {phone}", told)

    def collect(self, dossier: str, code: str) -> bool:
        """Type the code, take the result; says whether the machine gave it."""
        return bool(self._edge("POST", "/collect", {"dossier": dossier, "code": code})["released"])

    def await_reported(self, code: str) -> None:
        """Wait until the one-stop system's own book says 10."""

        def reported() -> bool:
            rows = self._books.look("one-stop")["dossiers"]
            return any(row["code"] == code and row["status"] == 10 for row in rows)  # noqa: PLR2004

        self._until(f"9 → 10 of {code}", reported)

    def books(self) -> dict[str, Any]:
        """Return the outside world's books and the machines' own counters."""
        names = {"bank": "bank", "smsc": "smsc-http", "one_stop": "one-stop"}
        books: dict[str, Any] = {
            name: self._call("GET", f"{self._stack.http(port)}/control/book")
            for name, port in names.items()
        }
        books["machines"] = {
            serial: self._call("GET", f"{self._stack.http(f'edge-{serial}')}/state")
            for serial in MACHINES
        }
        return books

    def timeline(self, dossier: str) -> list[dict[str, Any]]:
        """Return a dossier's whole story, as the official's API tells it."""
        url = f"{self._stack.http('intake-web-http')}/office/v1/dossiers/{dossier}/timeline"
        events: list[dict[str, Any]] = self._call("GET", url)["events"]
        return events

    def balance(self) -> dict[str, Any]:
        """Return the ledger, as the finance office's API tells it."""
        return self._call("GET", f"{self._stack.http('payment-web-http')}/payment/v1/balance")

    def _screen(self, dossier: str) -> dict[str, Any]:
        return self._edge("GET", f"/dossiers/{dossier}")

    def _edge(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        return self._call(method, f"{self._stack.http(f'edge-{self._machine}')}{path}", body)

    def _login(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._stack.tokens[self._official]}"}

    def _call(
        self, method: str, url: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Call until something answers; what it refuses is an error at once."""

        def answered() -> dict[str, Any] | None:
            try:
                answer = self._http.request(
                    method, url, json=body, headers=self._login(), timeout=30
                )
            except requests.ConnectionError:
                return None
            if answer.status_code >= 500:  # noqa: PLR2004
                return None
            if not answer.ok:
                raise GaveUpError(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
            content: dict[str, Any] = answer.json()
            return content

        return self._until(f"{method} {url}", answered)

    def _until(self, what: str, look: Callable[[], T | None]) -> T:
        deadline, pause = time.monotonic() + self._patience_s, _PAUSE_S
        while True:
            try:
                found = look()
            except requests.RequestException:
                found = None
            if found:
                return found
            if time.monotonic() > deadline:
                raise GaveUpError(f"waited {self._patience_s:.0f} s for {what}")
            time.sleep(pause)
            pause = min(pause * 1.5, _PAUSE_MAX_S)
