# SPDX-License-Identifier: Apache-2.0
"""How a dossier stands, asked with what is on the slip: what is told, to whom, how often."""

import time
import uuid
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.common import lookup
from services.common.errors import Malformed
from services.intake.application.status import (
    TRIES_MAX,
    WITHIN_S,
    StatusLookup,
    TooManyTriesError,
    Tries,
)
from services.intake.domain.dossier import Dossier
from services.intake.domain.public_status import tell
from services.intake.domain.transitions import NAMES
from tests.support.offices import HandClock
from tests.support.province import Province

SECRET, WRONG = "K7M2PQ9X", "K7M2PQ9Y"
FEE = 8000


class Citizen:
    """Somebody with a slip, and the province that has the dossier."""

    def __init__(self) -> None:
        self.province = Province()
        self.dossier = str(uuid.uuid4())
        self.province.deposit(
            dossier=self.dossier, lookup=lookup.digest(SECRET, UUID(self.dossier))
        )
        self.slip = f"VT01-3-{self.province.log.stream_version('kiosk-VT01-3'):06d}"
        self.status = StatusLookup(self.province.log, self.province.clock)

    def accepted(self) -> str:
        """Return the code once the fee is paid and an official accepted."""
        self.province.pays(self.dossier, FEE)
        return self.province.does(self.dossier, "accept").code

    def asks(self, code: str = "", secret: str = SECRET) -> dict[str, Any] | None:
        """Ask with the slip's code, or another one."""
        told = self.status.ask(code or self.slip, secret)
        return None if told is None else asdict(told)


@pytest.fixture
def citizen() -> Citizen:
    """A citizen whose dossier was just handed in, unpaid."""
    return Citizen()


def test_from_the_slip_to_the_result(citizen: Citizen) -> None:
    """Unpaid, paid, accepted with its day, finished: each with what comes next."""
    told = citizen.asks()
    assert told is not None
    assert (told["status"], told["name_vi"], told["due_on"]) == (1, "mới đăng ký", None)
    assert told["next_en"].startswith("Pay the fee")
    code = citizen.accepted()
    for written in (citizen.slip, code, f" {code.lower().replace('-', '–')} "):
        told = citizen.asks(written)
        assert told is not None
        assert (told["status"], told["due_on"]) == (2, "2026-11-16"), written
    citizen.province.does(citizen.dossier, "start", agency="Phòng Tư pháp")
    words = {"result_number": "KQ-1", "return_channel": "counter", "return_machine": None}
    citizen.province.does(citizen.dossier, "complete", **words)
    told = citizen.asks(code)
    assert told is not None
    assert (told["status"], told["due_on"]) == (9, None)
    assert told["next_vi"] == "Nhận kết quả tại bộ phận một cửa."


def test_paid_and_not_checked_yet(citizen: Citizen) -> None:
    """Nobody is asked to pay twice."""
    citizen.province.pays(citizen.dossier, FEE)
    told = citizen.asks(secret="k7m2 pq9x")
    assert told is not None
    assert told["next_en"].startswith("The office checks")


def test_no_personal_data(citizen: Citizen) -> None:
    """Neither name nor number, nor the dossier's id."""
    text = str(citizen.asks())
    for hidden in ("Nguyễn", "912345678", citizen.dossier):
        assert hidden not in text


def test_a_journal_that_intake_has_not_handled_yet(citizen: Citizen) -> None:
    """The slip works from the moment its record is in the log."""
    other = str(uuid.uuid4())
    digest = lookup.digest(SECRET, UUID(other))
    citizen.province.office.deposit(dossier=other, pouch="P2", lookup=digest)
    slip = f"VT01-3-{citizen.province.log.stream_version('kiosk-VT01-3'):06d}"
    told = citizen.asks(slip)
    assert told is not None
    assert told["status"] == 1


def test_wrong_and_unknown_are_answered_alike(citizen: Citizen) -> None:
    """None for a wrong secret, for another's secret, for codes of nobody, for a slip without one."""
    code = citizen.accepted()
    other = citizen.province.deposit(pouch="P2")
    assert citizen.province.dossier(other).lookup == lookup.NO_LOOKUP
    none = f"VT01-3-{citizen.province.log.stream_version('kiosk-VT01-3'):06d}"
    for asked, secret in (
        (citizen.slip, WRONG), (code, WRONG), (none, SECRET), ("VT01-3-999999", SECRET),
        ("VT09-1-000001", SECRET), ("H30.12-261116-0999", SECRET), ("H99.12-261116-0001", SECRET),
        ("H30.12-261116-0000", SECRET), ("H30.12-20261116-0001", SECRET),
    ):  # fmt: skip
        assert citizen.asks(asked, secret) is None, asked
    assert citizen.asks(code) is not None


def test_wrong_and_unknown_cost_the_same(citizen: Citizen) -> None:
    """The slow digest is computed for codes that nobody has, too."""

    def fastest(*codes: str) -> float:
        took = []
        for code in codes:
            began = time.perf_counter()
            assert citizen.asks(code, WRONG) is None
            took.append(time.perf_counter() - began)
        return min(took)

    wrong = fastest(*[citizen.slip] * 3)
    for unknown in ("VT01-3-9999", "H30.12-261116-"), ("H99.12-261116-", "VT09-1-00000"):
        assert fastest(*[f"{code}{n:04d}" for code in unknown for n in (7, 8)]) > wrong / 3


def test_tries_are_limited_for_each_code(citizen: Citizen) -> None:
    """Five wrong ones, then nobody gets in for a quarter of an hour, not even with the secret."""
    code = citizen.accepted()
    for _ in range(TRIES_MAX):
        assert citizen.asks(secret=WRONG) is None
    serial, epoch, number = citizen.slip.split("-")
    for written in (citizen.slip, f"{serial}-00{epoch}-{number}", f"{serial}-{epoch}-000{number}"):
        with pytest.raises(TooManyTriesError) as refusal:
            citizen.asks(written)
        assert refusal.value.wait_s == WITHIN_S
    assert citizen.asks(code) is not None, "another code has its own tries"
    citizen.province.clock.at += timedelta(seconds=WITHIN_S)
    assert citizen.asks() is not None


def test_codes_of_nobody_are_limited_too(citizen: Citizen) -> None:
    """Or the limit would tell which codes there are."""
    for _ in range(TRIES_MAX):
        assert citizen.asks("VT01-3-999999", WRONG) is None
    with pytest.raises(TooManyTriesError):
        citizen.asks("VT01-3-999999", WRONG)


def test_right_answers_are_not_limited(citizen: Citizen) -> None:
    """Who looks every hour is never locked out."""
    assert all(citizen.asks() for _ in range(TRIES_MAX + 2))


def test_the_memory_of_tries_is_bounded() -> None:
    """The code asked longest ago is forgotten first."""
    tries = Tries(HandClock(), codes_max=2)
    for code in ("a", "b", "b", "b", "b", "b", "c"):
        tries.take(code)
    with pytest.raises(TooManyTriesError):
        tries.take("b")
    tries.take("d")
    with pytest.raises(TooManyTriesError):
        tries.take("b")


@pytest.mark.parametrize(
    "code", ["", "7", "VT01-1", "VT01-1-000000", "VT01-3-٠٠٠٠٠١", "H30.12-1-1"]
)
def test_what_is_no_code(citizen: Citizen, code: str) -> None:
    """Refused by the field's name, with both forms."""
    with pytest.raises(Malformed) as refusal:
        citizen.status.ask(code, SECRET)
    (found,) = refusal.value.problems
    assert found.field == "code"
    assert "VT01-1-000123" in found.vi
    assert "H30.12" in found.vi


@pytest.mark.parametrize("secret", ["", "K7M2PQ9", "K7M2PQ9XX", "K7M2PQ9O", "K7M2PQ9Ắ", "ßßßß"])
def test_what_is_no_secret(citizen: Citizen, secret: str) -> None:
    """Refused by the field's name; the code's tries are not touched."""
    for _ in range(TRIES_MAX + 1):
        with pytest.raises(Malformed) as refusal:
            citizen.status.ask(citizen.slip, secret)
        assert [found.field for found in refusal.value.problems] == ["secret"]
    assert citizen.asks() is not None


@pytest.mark.parametrize("status", sorted(NAMES))
@pytest.mark.parametrize("channel", ["", "machine", "counter", "post"])
def test_every_status_has_words(status: int, channel: str) -> None:
    """In both languages; the day only while the clock runs."""
    dossier = Dossier(status=status, return_channel=channel, due_at="2026-11-24T17:00:00+07:00")
    told = tell(dossier, paid=True)
    assert all((told.name_vi, told.name_en, told.next_vi, told.next_en))
    assert (told.due_on is not None) == (status in {2, 4})


def test_where_the_result_lies() -> None:
    """A machine is named once the result lies in it."""
    on_the_way = Dossier(status=9, return_channel="machine", return_machine="VT01")
    there = Dossier(status=9, return_channel="machine", ready_at="VT01/7")
    assert "VT01" not in tell(on_the_way, paid=True).next_en
    assert tell(there, paid=True).next_vi == "Nhận kết quả tại máy VT01 bằng mã trong tin nhắn."
