# SPDX-License-Identifier: Apache-2.0
"""The gate refuses what breaks subscribers, names event, field and rule, and lets the rest pass."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from services.common import contracts
from services.common.contracts import evolution, registry
from services.common.contracts.registry import EventContract, EventSchema

EVENT = "payment.settled.v1"
NAME = "dossier.completed.v2"
Language = dict[str, Any]


def fields_of(language: Language, event: str = EVENT) -> dict[str, Any]:
    return language[event]["schema"]["properties"]


def changed(event: str, field: str, **words: Any) -> Callable[[Language], None]:
    """Give a field other words; None takes a word away."""

    def change(language: Language) -> None:
        one = fields_of(language, event)[field]
        one.update(words)
        for word in [word for word, value in words.items() if value is None]:
            del one[word]

    return change


def added(event: str, field: str, *, required: bool = False, **words: Any) -> Callable:
    """Add a field."""

    def change(language: Language) -> None:
        fields_of(language, event)[field] = {"type": "string", "description": "New.", **words}
        if required:
            language[event]["schema"]["required"].append(field)

    return change


def removed(event: str, field: str) -> Callable[[Language], None]:
    """Take a field away."""

    def change(language: Language) -> None:
        del fields_of(language, event)[field]
        language[event]["schema"]["required"].remove(field)

    return change


def next_version(event: str, version: int, field: str = "", **words: Any) -> Callable:
    """Publish another version of ``event``, with a field changed or added."""

    def change(language: Language) -> None:
        event_type, _ = evolution.split(event)
        new = f"{event_type}.v{version}"
        language[new] = copy.deepcopy(language[event])
        if field:
            fields_of(language, new).setdefault(field, {"description": "New."}).update(words)

    return change


def optional(language: Language) -> None:
    language[EVENT]["schema"]["required"].remove("paid_vnd")


def required(language: Language) -> None:
    fields_of(language)["note"] = {"type": "string"}
    language[EVENT]["schema"]["required"].append("note")


def more_words(event: str, field: str, word: str) -> Callable[[Language], None]:
    return lambda language: fields_of(language, event)[field]["enum"].append(word)


def fewer_words(language: Language) -> None:
    fields_of(language)["method"]["enum"].remove("mixed")


def other_example(language: Language) -> None:
    language[EVENT]["example"] = {**language[EVENT]["example"], "paid_vnd": 1}


def other_items(language: Language) -> None:
    fields_of(language, "kiosk.bin_emptied.v1")["pouches"]["items"]["maxLength"] = 64


def nested(language: Language) -> None:
    line = fields_of(language, "receipt.issued.v1")["lines"]["items"]
    line["properties"]["amount_vnd"]["type"] = "string"


def nested_optional(language: Language) -> None:
    line = fields_of(language, "receipt.issued.v1")["lines"]["items"]
    line["properties"]["note"] = {"type": "string", "description": "New."}


BREAKING = [
    (lambda language: language.pop(EVENT), EVENT, "", "version_removed"),
    (lambda language: language.pop("dossier.completed.v1"), "dossier.completed.v1", "",
     "version_removed"),
    (next_version(EVENT, 3), "payment.settled.v3", "", "version_skipped"),
    (added("dossier.completed.v1", "note"), "dossier.completed.v1", "", "version_frozen"),
    (other_example, EVENT, "", "example"),
    (removed(EVENT, "paid_vnd"), EVENT, "paid_vnd", "field_removed"),
    (required, EVENT, "note", "field_required"),
    (optional, EVENT, "paid_vnd", "field_required"),
    (changed(EVENT, "paid_vnd", type="string"), EVENT, "paid_vnd", "type"),
    (changed(EVENT, "paid_vnd", type=["integer", "null"]), EVENT, "paid_vnd", "type"),
    (changed(EVENT, "paid_vnd", maximum=10**12), EVENT, "paid_vnd", "type"),
    (changed(EVENT, "paid_vnd", minimum=1), EVENT, "paid_vnd", "type"),
    (changed(NAME, "code", pattern="^.+$"), NAME, "code", "type"),
    (changed(NAME, "result_number", maxLength=10), NAME, "result_number", "type"),
    (changed("dossier.accepted.v1", "due_at", format="date"), "dossier.accepted.v1", "due_at",
     "type"),
    (other_items, "kiosk.bin_emptied.v1", "pouches", "type"),
    (nested, "receipt.issued.v1", "lines.amount_vnd", "type"),
    (changed(EVENT, "paid_vnd", **{"x-unit": "USD"}), EVENT, "paid_vnd", "unit"),
    (changed(EVENT, "paid_vnd", **{"x-unit": None}), EVENT, "paid_vnd", "unit"),
    (changed(EVENT, "paid_vnd", description="What is left to pay."), EVENT, "paid_vnd",
     "meaning"),
    (changed(EVENT, "paid_vnd", **{"x-vi": "Còn phải nộp."}), EVENT, "paid_vnd", "meaning"),
    (lambda language: language[EVENT]["schema"].update(title="Paid."), EVENT, "", "meaning"),
    (changed(NAME, "code", **{"x-personal": "contact"}), NAME, "code", "personal"),
    (changed("dossier.imported.v1", "contact", **{"x-personal": "tax"}), "dossier.imported.v1",
     "contact", "personal"),
    (more_words(EVENT, "method", "crypto"), EVENT, "method", "words"),
    (fewer_words, EVENT, "method", "words"),
    (changed(EVENT, "method", enum=None), EVENT, "method", "words"),
    (changed(EVENT, "method", **{"x-open": True}), EVENT, "method", "words"),
    (next_version(EVENT, 2, "paid_vnd", **{"x-unit": "USD"}), "payment.settled.v2", "paid_vnd",
     "name_reused"),
    (next_version(EVENT, 2, "method", type="integer"), "payment.settled.v2", "method",
     "name_reused"),
    (next_version(EVENT, 2, "method", description="Who pays."), "payment.settled.v2", "method",
     "name_reused"),
]  # fmt: skip

COMPATIBLE = [
    lambda language: None,
    added(EVENT, "note"),
    added(NAME, "pages", type="integer"),
    added(NAME, "note", **{"x-open": True, "enum": ["a"]}),
    nested_optional,
    more_words("notification.requested.v2", "template", "apology"),
    more_words("notification.delivered.v1", "state", "SKIPPED"),
    more_words("office.custody_case_opened.v1", "because", "fire"),
    next_version(EVENT, 2),
    next_version(EVENT, 2, "tip_vnd", type="integer"),
    next_version(NAME, 3, "return_machine", type=["string", "null"]),
    lambda language: language.update({"dossier.moved.v1": copy.deepcopy(language[NAME])}),
]


@pytest.fixture
def language() -> Language:
    """A copy of what is published."""
    return copy.deepcopy(evolution.released())


@pytest.mark.parametrize(("change", "event", "field", "rule"), BREAKING)
def test_a_breaking_change_is_refused(
    language: Language, change: Callable, event: str, field: str, rule: str
) -> None:
    """It is named by event, field and rule."""
    change(language)
    found = evolution.compare(evolution.released(), language)
    assert (event, field, rule) in {(one.event, one.field, one.rule) for one in found}
    assert all(one.event in str(one) and one.rule in str(one) for one in found)


@pytest.mark.parametrize("change", COMPATIBLE)
def test_a_compatible_change_passes(language: Language, change: Callable) -> None:
    """Optional fields, words of open lists, further versions and further events harm nobody."""
    change(language)
    assert evolution.compare(evolution.released(), language) == []


def test_better_words_pass_only_when_somebody_says_so(language: Language) -> None:
    """Texts may be corrected for the events that are named, and nothing else with them."""
    changed(EVENT, "paid_vnd", description="What has been paid.")(language)
    before = evolution.released()
    assert evolution.compare(before, language, reworded=frozenset({EVENT})) == []
    assert evolution.compare(before, language, reworded=frozenset({NAME}))
    changed(EVENT, "paid_vnd", type="string")(language)
    assert evolution.compare(before, language, reworded=frozenset({EVENT}))


def test_what_was_written_stays_readable(
    language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its upcaster, or with one that forgets a field, a stored example is not readable."""
    assert evolution.unreadable(language) == []
    old = contracts.lookup("kiosk.cash_closed", 1)
    place = ("kiosk.cash_closed", 1)
    for upcast in (None, dict):
        broken = EventContract(
            type=old.type, schema=1, fields=old.fields, en=old.en, vi=old.vi, upcast=upcast
        )
        monkeypatch.setitem(registry._CONTRACTS, place, broken)
        assert [(one.event, one.rule) for one in evolution.unreadable(language)] == [
            ("kiosk.cash_closed.v1", "upcaster")
        ]


def test_a_contract_that_no_longer_takes_its_example_is_named(
    language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removed version cannot hide behind an untouched file."""

    class Nothing(EventSchema):
        """Takes no field."""

    old = contracts.lookup("payment.settled", 1)
    empty = EventContract(type=old.type, schema=1, fields=Nothing, en=old.en, vi=old.vi)
    monkeypatch.setitem(registry._CONTRACTS, ("payment.settled", 1), empty)
    found = evolution.unreadable(language)
    assert [(one.event, one.rule) for one in found] == [(EVENT, "example")]
    assert "paid_vnd" in str(found[0])


def test_the_file_is_one_line_a_version(language: Language) -> None:
    """So that a review sees what changed, and two branches rarely meet."""
    text = evolution.released_text(language)
    assert len(text.splitlines()) == len(language) + 2
    assert evolution.FILE.read_text(encoding="utf-8") == text
