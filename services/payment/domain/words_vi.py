# SPDX-License-Identifier: Apache-2.0
"""Amounts in Vietnamese words, as receipts need them (Decree 254/2026 article 23)."""

from typing import Final

_DIGITS: Final = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")
_SCALES: Final = ("", "nghìn", "triệu", "tỷ")
_MAX: Final = 10**12


def amount_in_words(amount: int) -> str:
    """Return ``amount`` đồng in words: 8000 → ``Tám nghìn đồng``.

    Raises:
        ValueError: negative, or a thousand milliards and above.
    """
    if not 0 <= amount < _MAX:
        raise ValueError("amounts from 0 to below 1,000 tỷ only")
    if amount == 0:
        return "Không đồng"
    groups = []
    rest = amount
    while rest:
        rest, group = divmod(rest, 1000)
        groups.append(group)
    words: list[str] = []
    for place in reversed(range(len(groups))):
        if groups[place]:
            words += _group(groups[place], first=not words)
            words += [_SCALES[place]] if place else []
    text = " ".join([*words, "đồng"])
    return text[0].upper() + text[1:]


def _group(number: int, *, first: bool) -> list[str]:
    """Return a group of three digits; one that is not the first names its hundreds and tens."""
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    words = [_DIGITS[hundreds], "trăm"] if hundreds or not first else []
    if tens == 0 and ones and words:
        words.append("lẻ")
    elif tens == 1:
        words.append("mười")
    elif tens > 1:
        words += [_DIGITS[tens], "mươi"]
    if ones == 1 and tens > 1:
        words.append("mốt")
    elif ones == 5 and tens:  # noqa: PLR2004 - five is said otherwise after tens
        words.append("lăm")
    elif ones:
        words.append(_DIGITS[ones])
    return words
