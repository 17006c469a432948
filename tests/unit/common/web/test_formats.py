# SPDX-License-Identifier: Apache-2.0
"""Times, numbers and money as each language writes them."""

import pytest

from services.common.web import formats
from services.common.web.words import Words

AT_US = 1_795_999_999_000_000  # 2026-11-30T00:53:19Z


def test_each_language_writes_its_own_way() -> None:
    """Vietnam's time in both."""
    assert formats.when("vi", AT_US) == "30/11/2026 07:53:19"
    assert formats.when("en", AT_US) == "30 Nov 2026 07:53:19"
    assert formats.number("vi", -1_234_567) == "-1.234.567"
    assert formats.number("en", 1_234_567) == "1,234,567"
    assert (formats.money("vi", 85_000), formats.money("en", 85_000)) == ("85.000 đ", "85,000 đ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 giây"), (119, "119 giây"), (120, "2 phút"), (7_200, "2 giờ"), (200_000, "2 ngày")],
)
def test_spans(seconds: float, text: str) -> None:
    """In the largest unit of which there are two."""
    words = Words(("services.common.web",))
    assert formats.span(lambda key, **values: words.say("vi", key, **values), seconds) == text
