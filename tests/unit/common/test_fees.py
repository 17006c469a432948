# SPDX-License-Identifier: Apache-2.0
"""Fees of the published procedures, against amounts written down by hand (``fees.csv``)."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import Refused
from services.common.fees import fee_of
from services.intake.seed.load import procedures

CASES = list(csv.DictReader(Path(__file__).with_name("fees.csv").open(encoding="utf-8")))
PROCEDURES = {str(row["code"]): row for row in procedures()}
LEAST_CASES = 40


def test_there_are_enough_cases() -> None:
    """At least forty, every rule and exemption among them."""
    assert len(CASES) >= LEAST_CASES
    rules = {line["rule"] for case in CASES for line in PROCEDURES[case["code"]]["fees"]}
    assert rules == {"flat", "per_copy", "per_page"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case.values()))
def test_counted_by_hand(case: dict[str, str]) -> None:
    """Both kinds agree with the hand, and stay apart."""
    fee = fee_of(
        PROCEDURES[case["code"]],
        copies=int(case["copies"]),
        pages=int(case["pages"]),
        exemption=case["exemption"] or None,
    )
    assert (fee.le_phi, fee.phi) == (int(case["le_phi_vnd"]), int(case["phi_vnd"]))
    assert fee.total == fee.le_phi + fee.phi


@given(st.sampled_from(sorted(PROCEDURES)), st.integers(1, 200), st.integers(1, 2000))
def test_more_never_costs_less(code: str, copies: int, pages: int) -> None:
    """One copy or one page more never lowers the fee; nothing is negative."""
    row = PROCEDURES[code]
    fee = fee_of(row, copies=copies, pages=pages, exemption=None).total
    assert 0 <= fee <= fee_of(row, copies=copies + 1, pages=pages, exemption=None).total
    assert fee <= fee_of(row, copies=copies, pages=pages + 1, exemption=None).total


def test_an_exemption_that_nobody_published() -> None:
    """It is refused by its field; nobody pays nothing by a word of their own."""
    with pytest.raises(Refused, match="unknown_exemption") as caught:
        fee_of(PROCEDURES["2.000635"], copies=1, pages=1, exemption="friend")
    assert caught.value.field == "exemption"


def test_a_rule_that_nobody_knows() -> None:
    """It costs nobody anything: refused."""
    row = {"fees": [{"kind": "phi", "rule": "by_weather", "amount_vnd": 1}], "exemptions": []}
    with pytest.raises(Refused, match="unknown_fee_rule"):
        fee_of(row, copies=1, pages=1, exemption=None)
