# SPDX-License-Identifier: Apache-2.0
"""The gate for contracts: a stored example of every version ever written is still understood."""

import pytest
from marshmallow import fields

from services.common import contracts
from services.common.contracts import registry
from services.common.contracts.registry import EventContract, EventSchema
from services.common.errors import Malformed

ALL = contracts.all_contracts()


@pytest.mark.parametrize("contract", ALL, ids=lambda contract: contract.wire_name)
def test_example_is_valid_and_lifts(contract: EventContract) -> None:
    """The stored example satisfies its version and, lifted, the newest one."""
    example = contract.example()
    contract.check(example)
    lifted = contracts.current(contract.type, contract.schema, example)
    contracts.newest(contract.type).check(lifted)


@pytest.mark.parametrize("contract", ALL, ids=lambda contract: contract.wire_name)
def test_unknown_and_missing_fields_are_named(contract: EventContract) -> None:
    """A field too many or too few is refused by name."""
    example = contract.example()
    with pytest.raises(Malformed) as extra:
        contract.check({**example, "surprise": 1})
    assert "surprise" in {problem.field for problem in extra.value.problems}
    name = next(iter(example))
    with pytest.raises(Malformed) as missing:
        contract.check({key: value for key, value in example.items() if key != name})
    assert name in {problem.field.split(".")[0] for problem in missing.value.problems}


@pytest.mark.parametrize("contract", ALL, ids=lambda contract: contract.wire_name)
def test_both_languages(contract: EventContract) -> None:
    """Every event says what happened in Vietnamese and English."""
    assert contract.en.endswith(".")
    assert contract.vi.endswith(".")


def test_versions_are_lifted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of version 1 passes every upcaster on its way to version 3."""

    class Old(EventSchema):
        fee = fields.Integer(required=True)

    class New(EventSchema):
        fee_vnd = fields.Integer(required=True)

    class Newest(EventSchema):
        fee_vnd = fields.Integer(required=True)
        phi_vnd = fields.Integer(required=True)

    monkeypatch.setattr(registry, "_CONTRACTS", {})
    monkeypatch.setattr(registry, "_NEWEST", {})
    common = {"type": "test.fee_set", "en": "x.", "vi": "x."}
    registry.register(
        EventContract(schema=1, fields=Old, upcast=lambda d: {"fee_vnd": d["fee"]}, **common),
        EventContract(schema=2, fields=New, upcast=lambda d: {**d, "phi_vnd": 0}, **common),
        EventContract(schema=3, fields=Newest, **common),
    )
    assert registry.current("test.fee_set", 1, {"fee": 5}) == {"fee_vnd": 5, "phi_vnd": 0}
    assert registry.newest("test.fee_set").schema == 3
    with pytest.raises(Malformed):
        registry.lookup("test.fee_set", 4)
