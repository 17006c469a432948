# SPDX-License-Identifier: Apache-2.0
"""Amounts in words, written down by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payment.domain.words_vi import amount_in_words

CASES = {
    0: "Không đồng",
    1: "Một đồng",
    5: "Năm đồng",
    10: "Mười đồng",
    11: "Mười một đồng",
    15: "Mười lăm đồng",
    20: "Hai mươi đồng",
    21: "Hai mươi mốt đồng",
    25: "Hai mươi lăm đồng",
    24: "Hai mươi bốn đồng",
    100: "Một trăm đồng",
    101: "Một trăm lẻ một đồng",
    105: "Một trăm lẻ năm đồng",
    110: "Một trăm mười đồng",
    115: "Một trăm mười lăm đồng",
    121: "Một trăm hai mươi mốt đồng",
    1_000: "Một nghìn đồng",
    1_001: "Một nghìn không trăm lẻ một đồng",
    1_010: "Một nghìn không trăm mười đồng",
    2_000: "Hai nghìn đồng",
    3_000: "Ba nghìn đồng",
    8_000: "Tám nghìn đồng",
    12_000: "Mười hai nghìn đồng",
    18_000: "Mười tám nghìn đồng",
    24_000: "Hai mươi bốn nghìn đồng",
    28_000: "Hai mươi tám nghìn đồng",
    55_000: "Năm mươi lăm nghìn đồng",
    100_000: "Một trăm nghìn đồng",
    105_000: "Một trăm lẻ năm nghìn đồng",
    822_000: "Tám trăm hai mươi hai nghìn đồng",
    1_000_000: "Một triệu đồng",
    1_080_000: "Một triệu không trăm tám mươi nghìn đồng",
    1_500_000: "Một triệu năm trăm nghìn đồng",
    1_000_001: "Một triệu không trăm lẻ một đồng",
    3_000_000_000: "Ba tỷ đồng",
}


@pytest.mark.parametrize(("amount", "words"), CASES.items())
def test_amounts(amount: int, words: str) -> None:
    """Amounts read as a cashier would write them."""
    assert amount_in_words(amount) == words


@pytest.mark.parametrize("amount", [-1, 10**12])
def test_out_of_range(amount: int) -> None:
    """What no receipt can say is refused."""
    with pytest.raises(ValueError, match="amounts"):
        amount_in_words(amount)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_no_two_amounts_read_the_same(one: int, other: int) -> None:
    """Words tell amounts apart."""
    assert (amount_in_words(one) == amount_in_words(other)) == (one == other)
