# SPDX-License-Identifier: Apache-2.0
"""Ask how a dossier stands, with what is printed on the slip: a code and a secret.

An unknown code and a wrong secret are answered alike and cost the same: the log is read in the
same steps, and the slow digest is computed either way. Tries are limited for each code, known or
not, so that a secret of 40 bits cannot be found by trying.
"""

import re
import threading
from collections import OrderedDict
from typing import Final
from uuid import UUID, uuid4

from services.common import lookup
from services.common.clock import Clock
from services.common.errors import (
    EventsArchived,
    Malformed,
    MotCuaError,
    Problem,
    Refused,
    Unavailable,
)
from services.common.eventlog.port import EventLog
from services.intake.application.facts import data_of, dossier_of, fee_settled
from services.intake.domain.dossier import Dossier
from services.intake.domain.dossier_code import read_code
from services.intake.domain.public_status import Told, tell

TRIES_MAX: Final = 5
WITHIN_S: Final = 900.0
CODES_MAX: Final = 10_000
DIGESTS_AT_ONCE: Final = 2
"""A digest costs 16 MiB and a core's 50 ms on purpose; more of them wait."""
WAIT_S: Final = 3.0
_SLIP: Final = re.compile(r"([A-Z]{2}[0-9]{2})-([0-9]{1,6})-([0-9]{6,9})")
_DASHES: Final = re.compile("[‐-―−]")
_NOBODY: Final = "nobody"


class TooManyTriesError(MotCuaError):
    """Too many wrong secrets for a code; ask again after ``wait_s``."""

    def __init__(self, wait_s: float) -> None:
        """Say how long to wait."""
        super().__init__(f"too many tries, wait {wait_s:.0f} s")
        self.wait_s = wait_s


class Tries:
    """Counts tries for each code in a bounded memory; the code asked longest ago is forgotten."""

    def __init__(self, clock: Clock, codes_max: int = CODES_MAX) -> None:
        """Bind the clock."""
        self._clock = clock
        self._codes_max = codes_max
        self._lock = threading.Lock()
        self._tried: OrderedDict[str, list[float]] = OrderedDict()

    def take(self, code: str) -> float:
        """Count a try, before it is known how it ends; raises TooManyTriesError."""
        with self._lock:
            now = self._clock.monotonic_s()
            recent = [at for at in self._tried.pop(code, []) if at > now - WITHIN_S]
            self._tried[code] = recent
            while len(self._tried) > self._codes_max:
                self._tried.popitem(last=False)
            if len(recent) >= TRIES_MAX:
                raise TooManyTriesError(recent[0] + WITHIN_S - now)
            recent.append(now)
            return now

    def give_back(self, code: str, taken: float) -> None:
        """Forget a try that was right."""
        with self._lock:
            recent = self._tried.get(code, [])
            if taken in recent:
                recent.remove(taken)


class StatusLookup:
    """Answers whoever holds a slip."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        """Bind log and clock."""
        self._log = log
        self._tries = Tries(clock)
        self._digests = threading.BoundedSemaphore(DIGESTS_AT_ONCE)
        self._lock = threading.Lock()
        self._through = 0
        self._agencies: dict[str, set[str]] = {}

    def ask(self, code: str, secret: str) -> Told | None:
        """Tell how the dossier stands; None for an unknown code, and for a wrong secret.

        Args:
            code: a dossier code or a slip's code, as people write them.
            secret: the eight characters of the slip.

        Raises:
            Malformed: neither code, or not eight characters of the alphabet.
            TooManyTriesError: the code was asked too often with a wrong secret.
            Unavailable: the log is down, or too many ask at once.
        """
        written, plain = _code(code), _secret(secret)
        taken = self._tries.take(written)
        try:
            found, digest = self._find(written)
            dossier, gone = Dossier(), None
            try:
                dossier = dossier_of(self._log, found)
            except EventsArchived as archived:
                gone = archived  # the deposit's digest tells whether the secret is right
            right = self._matches(plain, found, dossier.lookup or digest)
        except Unavailable:
            self._tries.give_back(written, taken)
            raise
        if not right:
            return None
        self._tries.give_back(written, taken)
        if gone is not None:
            raise gone
        return tell(dossier, paid=fee_settled(self._log, found))

    def _matches(self, secret: str, dossier: str, digest: str) -> bool:
        if not self._digests.acquire(timeout=WAIT_S):
            raise Unavailable("status", "too many ask at once")
        try:
            return lookup.matches(secret, UUID(dossier), digest)
        finally:
            self._digests.release()

    def _find(self, code: str) -> tuple[str, str]:
        """Return a dossier's id, a fresh one for none, and the digest that its deposit has."""
        slip = _SLIP.fullmatch(code)
        if slip is not None:
            stream, number = f"kiosk-{slip[1]}-{int(slip[2])}", int(slip[3])
        else:
            agency, day, text = code.rsplit("-", 2)
            stream, number = f"office-{self._office(agency)}.codes.{day}", int(text)
        for event in self._log.read_stream(stream, after_version=max(number - 1, 0), limit=1):
            data = data_of(event)
            if event.type == "kiosk.dossier_deposited":
                return str(data["dossier"]), str(data["lookup"])
            if event.type == "office.code_assigned" and data["code"] == code:
                return str(data["dossier"]), lookup.NO_LOOKUP
        return str(uuid4()), lookup.NO_LOOKUP

    def _office(self, agency: str) -> str:
        """Return the office that gives or gave codes of an agency."""
        with self._lock:
            head = self._log.head()  # only what is new since the last look
            types = ["office.opened", "office.renamed"]
            for event in self._log.read_all(self._through, types=types):
                if event.position <= head:
                    data = data_of(event)
                    self._agencies.setdefault(str(data["agency_code"]), set()).add(
                        str(data["office"])
                    )
            self._through = head
            return min(self._agencies.get(agency, {_NOBODY}))


def _code(text: str) -> str:
    slip = _SLIP.fullmatch(_DASHES.sub("-", re.sub(r"\s", "", text)).upper())
    if slip is not None and int(slip[3]):
        # One way of writing, or leading zeros would give further tries.
        return f"{slip[1]}-{int(slip[2])}-{int(slip[3]):06d}"
    try:
        return read_code(text)
    except Refused as refusal:
        found = Problem(
            "code", refusal.code, f"{refusal.en}, a slip's like VT01-1-000123",
            f"{refusal.vi}, mã trên phiếu có dạng VT01-1-000123",
        )  # fmt: skip
        raise Malformed("look-up", (found,)) from refusal


def _secret(text: str) -> str:
    typed = re.sub(r"[\s‐-―−-]", "", text)
    plain = typed.upper() if typed.isascii() else ""  # ß would become two letters
    if len(plain) != lookup.SECRET_CHARS or not set(plain) <= set(lookup.ALPHABET):
        found = Problem(
            "secret", "not_a_secret", "eight letters and digits as printed on the slip",
            "tám chữ và số in trên phiếu",
        )  # fmt: skip
        raise Malformed("look-up", (found,))
    return plain
