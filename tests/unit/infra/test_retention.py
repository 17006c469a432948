# SPDX-License-Identifier: Apache-2.0
"""Which dossiers' personal data were kept long enough, and which are needed still."""

import json
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.retention import DAYS_MAX, Due, Rule, due_at, purposes_in_use, read_rules
from services.common import contracts
from services.common.audit.subjects import Erase, erase
from services.common.errors import Malformed
from services.common.eventlog.recording import Fact
from tests.support.province import Province

RULES = {"contact": Rule(days=30, reference="QD-12", source="test")}


@pytest.fixture
def province() -> Province:
    """A fresh province."""
    return Province()


def due(province: Province, *, days: float = 31) -> list[Due]:
    """Return what is due ``days`` from now."""
    return list(due_at(province.log, RULES, province.clock.now() + timedelta(days=days)))


def closed(province: Province) -> str:
    """Return a dossier that its citizen withdrew."""
    dossier = province.deposit(pouch=f"P{uuid.uuid4().hex[:6]}")
    province.does(dossier, "withdraw", reason="Không còn nhu cầu")
    return dossier


def erase_one(province: Province, dossier: str) -> None:
    order = Erase(dossier=dossier, basis="retention", reference="QD-12", official="cb007")
    erase(province.office.recorder("motcua_eraser"), province.office.keys, order)


def test_closed_long_enough(province: Province) -> None:
    """Only after the time, to the moment; an open one is named and kept."""
    done, waiting = closed(province), province.deposit(pouch="P-open")
    assert due(province) == [
        Due(dossier=done, purposes=("contact",)),
        Due(dossier=waiting, purposes=("contact",), kept="dossier_open"),
    ]
    assert due(province, days=29.9) == []


def test_erased_ones_are_done(province: Province) -> None:
    """Whatever ran before and broke off: the log says what is left."""
    first, second = closed(province), closed(province)
    erase_one(province, first)
    assert [one.dossier for one in due(province)] == [second]
    erase_one(province, second)
    assert due(province) == []


def test_reading_makes_nothing_younger(province: Province) -> None:
    """Who looks at personal data does not keep them; who acts on the dossier does."""
    done = closed(province)
    province.clock.sleep(29 * 86_400)
    fact = Fact(type="access.personal_read", data={
        "dossier": done, "event": str(uuid.uuid4()), "field": "contact", "purpose": "contact",
        "reader": "cb007",
    }, subject=done)  # fmt: skip
    province.office._add("motcua_audit", f"access-{done}", fact)
    assert [one.dossier for one in due(province, days=1.1)] == [done]
    example = contracts.newest("dossier.reported").example()
    fact = Fact(type="dossier.reported", data=example, subject=done)
    province.office._add("motcua_intake", f"dossier-{done}", fact)
    assert due(province, days=1.1) == []


def test_an_open_custody_case_keeps_them(province: Province) -> None:
    """Somebody may have to be told still."""
    done, case = closed(province), str(uuid.uuid4())
    for kind in ("office.custody_case_opened", "office.custody_case_closed"):
        example = contracts.newest(kind).example()
        data = {**example, "case": case} | ({"dossier": done} if "dossier" in example else {})
        fact = Fact(type=kind, data=data, subject=done)
        province.office._add("motcua_intake", "office-VT", fact)
        expected = "custody_case" if kind.endswith("opened") else ""
        assert due(province) == [Due(dossier=done, purposes=("contact",), kept=expected)]


def test_money_that_is_owed_keeps_them(province: Province) -> None:
    """Whoever paid for a dossier that came to nothing has to be found."""
    dossier = province.deposit(procedure="1.001612")
    province.pays(dossier, 20_000)
    province.does(dossier, "withdraw", reason="Không còn nhu cầu")
    province.run()
    assert due(province) == [Due(dossier=dossier, purposes=("contact",), kept="money_owed")]


def test_our_rules() -> None:
    """Every purpose that a contract names has a period, and the period a source."""
    rules = read_rules()
    assert purposes_in_use() <= rules.keys()
    assert all(rule.source and 0 < rule.days <= DAYS_MAX for rule in rules.values())


@pytest.mark.parametrize(
    "text",
    [
        "x", "[]", "{}", '{"contact": {"days": 1}}',
        '{"tax": {"days": 1, "reference": "a", "source": "b"}}',
        '{"contact": {"days": 0, "reference": "a", "source": "b"}}',
        '{"contact": {"days": "9", "reference": "a", "source": "b"}}',
        '{"contact": {"days": 9, "reference": "", "source": "b"}}',
        '{"contact": {"days": 9, "reference": "a", "source": "b", "more": 1}}',
    ],
)  # fmt: skip
def test_rules_that_are_none(tmp_path: Path, text: str) -> None:
    """Nothing is erased by a file that says something else, or nothing of a purpose in use."""
    path = tmp_path / "rules.json"
    path.write_text(text)
    with pytest.raises(Malformed, match="retention rules"):
        read_rules(path)


@settings(max_examples=25, deadline=None)
@given(days=st.integers(1, 400), after=st.integers(0, 500), erased=st.booleans())
def test_due_exactly_when_the_time_is_over(*, days: int, after: int, erased: bool) -> None:
    """For any period and any moment: due from the day on, once, and never again."""
    province = Province()
    done = closed(province)
    if erased:
        erase_one(province, done)
    rules = {"contact": Rule(days=days, reference="r", source="s")}
    found = list(due_at(province.log, rules, province.clock.now() + timedelta(days=after)))
    assert [one.dossier for one in found] == ([done] if after >= days and not erased else [])


def test_another_file_is_read(tmp_path: Path) -> None:
    """The province's own periods stand in a file of its own."""
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"contact": {"days": 9, "reference": "a", "source": "b"}}))
    assert read_rules(path) == {"contact": Rule(days=9, reference="a", source="b")}
