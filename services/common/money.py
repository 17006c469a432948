# SPDX-License-Identifier: Apache-2.0
"""Vietnamese đồng as a type; the currency has no minor unit, so amounts are whole integers."""

from typing import NewType

Vnd = NewType("Vnd", int)

NO_MONEY = Vnd(0)


def vnd_text(amount: Vnd) -> str:
    """Return ``85.000 đ`` for 85000: what screens, receipts and reports print."""
    return f"{amount:,}".replace(",", ".") + " đ"
