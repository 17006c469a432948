# SPDX-License-Identifier: Apache-2.0
"""The GSM 7-bit default alphabet (3GPP TS 23.038 §6.2.1): what one unaccented SMS can hold."""

from typing import Final

SEGMENT_SEPTETS: Final = 160
"""Septets of one unsegmented message."""

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")


def septets(text: str) -> int | None:
    """Return how many septets ``text`` takes, or None when a character is not in the alphabet."""
    total = 0
    for character in text:
        if character in _BASIC:
            total += 1
        elif character in _EXTENDED:
            total += 2
        else:
            return None
    return total


def fits_one_sms(text: str) -> bool:
    """Say whether ``text`` is plain ASCII of the alphabet and fits one unsegmented SMS.

    ASCII only, because carriers register brandname templates unaccented; ``@``, ``$`` and ``_``
    have other byte values in the alphabet than in ASCII and are refused with it.
    """
    size = septets(text)
    safe = text.isascii() and not set(text) & set("@$_`") and not set(text) & _EXTENDED
    return safe and size is not None and size <= SEGMENT_SEPTETS
