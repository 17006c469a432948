# SPDX-License-Identifier: Apache-2.0
"""What a procedure version costs; phí and lệ phí stay apart (Law on fees and charges 2015).

Machines show it offline, payment asks it: both use this rule on the same published version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.common.contracts.values import AMOUNT_MAX_VND
from services.common.errors import Refused
from services.common.money import Vnd

COPIES_MAX: Final = 200
PAGES_MAX: Final = 2000
"""The most that a machine takes of one dossier."""

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


def require_sound(procedure: Mapping[str, Any]) -> None:
    """Check, before it is published, that every fee of a version can be asked as it is meant.

    Raises:
        Refused: ``fee_incomplete``: a step from a page on without its amount, or the other way
            round, or steps and caps of a rule that has none; ``exemption_repeated``;
            ``fee_too_high``: the most that a machine takes would cost more than can be booked.
    """
    for line in procedure["fees"]:
        stepped = line["then_from_page"] is not None
        capped = line["cap_vnd"] is not None
        if stepped != (line["then_vnd"] is not None) or (
            line["rule"] != "per_page" and (stepped or capped)
        ):
            raise Refused(
                "fee_incomplete", "then_from_page and then_vnd go together, per page only",
                "then_from_page và then_vnd phải đi cùng nhau, chỉ khi tính theo trang",
                field="fees",
            )  # fmt: skip
    codes = [one["code"] for one in procedure["exemptions"]]
    if len(set(codes)) != len(codes):
        raise Refused(
            "exemption_repeated", "an exemption stands there twice", "diện miễn bị lặp lại",
            field="exemptions",
        )  # fmt: skip
    most = fee_of(procedure, copies=COPIES_MAX, pages=PAGES_MAX, exemption=None)
    if most.total > AMOUNT_MAX_VND:
        raise Refused(
            "fee_too_high", f"it could come to more than {AMOUNT_MAX_VND} đ",
            f"mức thu có thể vượt quá {AMOUNT_MAX_VND} đ", field="fees",
        )  # fmt: skip


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
