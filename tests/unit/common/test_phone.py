# SPDX-License-Identifier: Apache-2.0
"""Mobile numbers in the ways that people type them."""

import pytest

from services.common.phone import international


@pytest.mark.parametrize(
    "typed",
    ["0912345678", "+84912345678", "84912345678", "0912 345 678", "0912.345.678", "0084912345678",
     "+84 (0) 912 345 678", "0912\u00a0345\u00a0678", "0912–345–678", " 0912345678\n"],
)  # fmt: skip
def test_one_number(typed: str) -> None:
    """Prefixes, blanks and dashes of every kind mean the same number."""
    assert international(typed) == "84912345678"


@pytest.mark.parametrize(
    "typed",
    ["0293123456", "0112345678", "091234567", "", "abc", "09123456789", "912345678", "++84912345678",
     "0912٣٤٥٦٧٨", "01681234567", "+85912345678"],
)  # fmt: skip
def test_anything_else_is_none(typed: str) -> None:
    """Landlines, numbers too short or of before 2018, other countries, other digits."""
    assert international(typed) is None
