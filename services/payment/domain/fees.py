# SPDX-License-Identifier: Apache-2.0
"""What a procedure version costs; phí and lệ phí stay apart (Law on fees and charges 2015)."""

from dataclasses import dataclass

from services.common.errors import Refused
from services.common.money import Vnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """An amount to pay."""

    le_phi: Vnd
    phi: Vnd

    @property
    def total(self) -> Vnd:
        """Both together."""
        return Vnd(self.le_phi + self.phi)


def fee_of(rule: str, *, le_phi: Vnd, phi: Vnd, copies: int) -> Fee:
    """Return the fee for ``copies`` under ``rule`` (``none``, ``flat``, ``per_copy``).

    Raises:
        Refused: ``unknown_fee_rule``.
    """
    match rule:
        case "none":
            return Fee(le_phi=Vnd(0), phi=Vnd(0))
        case "flat":
            return Fee(le_phi=le_phi, phi=phi)
        case "per_copy":
            return Fee(le_phi=Vnd(le_phi * copies), phi=Vnd(phi * copies))
        case _:
            raise Refused(
                "unknown_fee_rule", f"no fee rule {rule}", f"không có cách tính phí {rule}",
                field="fees.rule",
            )  # fmt: skip
