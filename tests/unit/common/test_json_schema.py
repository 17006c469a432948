# SPDX-License-Identifier: Apache-2.0
"""The published schemas say what the contracts check, with words in both languages."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from services.common import contracts
from services.common.contracts.event_meanings import TOLD_VI
from services.common.contracts.field_meanings import MEANINGS
from services.common.contracts.json_schema import meaning_keys, schema_of
from services.common.contracts.registry import EventContract
from services.common.errors import Malformed

ALL = contracts.all_contracts()
WRONG = (
    None, True, 0, -1, 10**15, 1.5, "", " ", "x", "yes", "ü" * 3, "x" * 5000, "2026-02-30",
    "20261124", "2026-W48-2", "2026-11-24T10:00:00", "20261124T100000+0700",
    "01932B6E-7C00-7000-8000-000000000761", "01932b6e7c0070008000000000000761", [], {}, ["x"],
)  # fmt: skip


def accepts(contract: EventContract, data: dict[str, Any]) -> bool:
    try:
        contract.check(data)
    except Malformed:
        return False
    return True


def spoilt(data: Any) -> Iterator[Any]:
    """Return ``data`` with one place made different at a time, or one field gone."""
    places = data if isinstance(data, dict) else range(len(data))
    for place in places:
        for value in WRONG:
            other = copy.deepcopy(data)
            other[place] = value
            yield other
        if isinstance(data, dict):
            yield {key: value for key, value in data.items() if key != place}
        if isinstance(data[place], dict | list):
            for inner in spoilt(data[place]):
                other = copy.deepcopy(data)
                other[place] = inner
                yield other


@pytest.mark.parametrize("contract", ALL, ids=lambda contract: contract.wire_name)
def test_schema_and_contract_agree(contract: EventContract) -> None:
    """The stored example is valid; whatever one of the two refuses, the other refuses as well."""
    schema = schema_of(contract)
    Draft7Validator.check_schema(schema)
    checker = Draft7Validator(schema, format_checker=Draft7Validator.FORMAT_CHECKER)
    checker.validate(contract.example())
    other = [
        data
        for data in spoilt(contract.example())
        if accepts(contract, data) != checker.is_valid(data)
    ]
    assert other == []


@pytest.mark.parametrize("contract", ALL, ids=lambda contract: contract.wire_name)
def test_a_field_that_a_subscriber_does_not_know_is_no_error(contract: EventContract) -> None:
    """So that a later release may add one."""
    assert Draft7Validator(schema_of(contract)).is_valid({**contract.example(), "later": 1})


def test_every_event_and_field_is_explained_in_both_languages() -> None:
    """Nothing is missing, nothing is left over, and no text is empty or the other language's."""
    assert set(TOLD_VI) == {contract.wire_name for contract in ALL}
    assert set().union(*map(meaning_keys, ALL)) == set(MEANINGS)
    for meaning in (*MEANINGS.values(), *((schema_of(c)["description"], TOLD_VI[c.wire_name])
                                          for c in ALL)):  # fmt: skip
        assert all(text.strip() == text and text.endswith(".") for text in meaning)
    same = {key for key, meaning in MEANINGS.items() if meaning.en == meaning.vi}
    assert {key.rpartition(".")[2] for key in same} == {"phi_vnd", "le_phi_vnd"}


def test_money_is_whole_dong_and_personal_fields_are_stubs() -> None:
    """An amount is an integer with its unit; what is personal travels as a stub."""
    for contract in ALL:
        fields = schema_of(contract)["properties"]
        for name, field in fields.items():
            if name.endswith("_vnd"):
                assert "integer" in field["type"]
                assert field["x-unit"] == "VND"
            stub = set(field.get("properties", {})) == {"key", "digest", "commitment"}
            assert stub == (name in contract.personal) == ("x-personal" in field)
