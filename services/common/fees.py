# SPDX-License-Identifier: Apache-2.0
"""What a procedure version costs; phí and lệ phí stay apart (Law on fees and charges 2015).

Machines show it offline, payment asks it: both use this rule on the same published version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.common.errors import Refused
from services.common.money import Vnd

Line = Mapping[str, Any]
"""One fee of ``procedure.published`` v2: kind, rule, amount_vnd, then_from_page, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """An amount to pay."""

    le_phi: Vnd
    phi: Vnd

    @property
    def total(self) -> Vnd:
        """Both together."""
        return Vnd(self.le_phi + self.phi)


def fee_of(procedure: Mapping[str, Any], *, copies: int, pages: int, exemption: str | None) -> Fee:
    """Return the fee for ``copies`` of ``pages`` pages each.

    Args:
        procedure: data of ``procedure.published``; ``fees`` and ``exemptions`` are read.
        copies: how many copies, from 1.
        pages: pages of each copy, from 1.
        exemption: reason for which some kinds are free, or None.

    Raises:
        Refused: ``unknown_exemption``, ``unknown_fee_rule``.
    """
    free = _free_kinds(procedure["exemptions"], exemption)
    amounts = {"le_phi": 0, "phi": 0}
    for line in procedure["fees"]:
        if line["kind"] not in free:
            amounts[line["kind"]] += _amount(line, copies, pages)
    return Fee(le_phi=Vnd(amounts["le_phi"]), phi=Vnd(amounts["phi"]))


def _free_kinds(exemptions: Sequence[Mapping[str, Any]], claimed: str | None) -> Sequence[str]:
    if claimed is None:
        return ()
    for one in exemptions:
        if one["code"] == claimed:
            kinds: Sequence[str] = one["kinds"]
            return kinds
    raise Refused(
        "unknown_exemption",
        f"this procedure knows no exemption {claimed}",
        f"thủ tục này không có diện miễn {claimed}",
        field="exemption",
    )


def _amount(line: Line, copies: int, pages: int) -> int:
    rule = _RULES.get(line["rule"])
    if rule is None:
        raise Refused(
            "unknown_fee_rule", f"no fee rule {line['rule']}",
            f"không có cách tính phí {line['rule']}", field="fees.rule",
        )  # fmt: skip
    return rule(line, copies, pages)


def _flat(line: Line, _copies: int, _pages: int) -> int:
    return int(line["amount_vnd"])


def _per_copy(line: Line, copies: int, _pages: int) -> int:
    return int(line["amount_vnd"]) * copies


def _per_page(line: Line, copies: int, pages: int) -> int:
    first = line["then_from_page"]
    dear = pages if first is None else min(pages, first - 1)
    one = dear * int(line["amount_vnd"]) + (pages - dear) * int(line["then_vnd"] or 0)
    cap = line["cap_vnd"]
    return copies * (one if cap is None else min(one, cap))


_RULES: Final = {"flat": _flat, "per_copy": _per_copy, "per_page": _per_page}
