# SPDX-License-Identifier: Apache-2.0
"""Payment tokens: what a transfer's text carries instead of the dossier code.

Banks strip, cut, upper-case and prefix texts, and a dossier code holds dots and dashes; eight
letters and digits without 0, O, 1 and I come through.
"""

import hmac
import re
from typing import Final

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LENGTH: Final = 8
PREFIX: Final = "TTHC"
_FOUND: Final = re.compile(rf"{PREFIX}\s*([{ALPHABET}]{{{LENGTH}}})(?![{ALPHABET}])")


def make_token(secret: bytes, dossier: str, attempt: int) -> str:
    """Derive the token of a dossier's payment; another ``attempt`` after a collision."""
    digest = hmac.digest(secret, f"payment-token/{dossier}/{attempt}".encode(), "sha256")
    number = int.from_bytes(digest[:5])
    return "".join(ALPHABET[(number >> (5 * place)) & 31] for place in range(LENGTH))


def transfer_text(token: str) -> str:
    """Return the text that the QR code asks the bank to carry."""
    return f"{PREFIX} {token}"


def find_token(text: str) -> str | None:
    """Return the token inside what a bank made of the text, or None."""
    found = _FOUND.search(text.upper())
    return None if found is None else found.group(1)
