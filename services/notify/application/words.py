# SPDX-License-Identifier: Apache-2.0
"""Which event is told to the citizen in which words: one row for each event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.common.canonical import Json
from services.common.clock import VIETNAM

Data = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What every message needs to know of a dossier.

    Attributes:
        office: whose dossier it is.
        contact_event: the event that holds name and phone, sealed.
        code: how the citizen knows it: its code, or where and when it was handed in.
    """

    office: str
    contact_event: str
    code: str


Words = tuple[str, dict[str, str]]
"""Name of a template, and its parameters beside ``office`` and ``code``."""
Say = Callable[[Data], Words | None]


def day(instant: Json) -> str:
    """Return an instant as the day it is in Vietnam, ``dd/mm/yyyy``."""
    return datetime.fromisoformat(str(instant)).astimezone(VIETNAM).strftime("%d/%m/%Y")


def money(amount: int) -> str:
    """Return an amount as people write it: ``1.250.000``."""
    return f"{amount:,}".replace(",", ".")


def _plainly(template: str) -> Say:
    return lambda _data: (template, {})


def _fee_due(data: Data) -> Words:
    amount = int(str(data["le_phi_vnd"])) + int(str(data["phi_vnd"]))
    return "fee_due", {"amount": money(amount)}


def _completed(data: Data) -> Words | None:
    # A result that goes through a machine is told when it lies there, with the code.
    return ("ready_at_counter", {}) if data["return_channel"] == "counter" else None


def _owed(data: Data) -> Words | None:
    amount = int(str(data["owed_vnd"]))
    return ("owed", {"amount": money(amount)}) if amount else None


SAID: Final[Mapping[str, Say]] = {
    "dossier.accepted": lambda data: ("accepted", {"due": day(data["due_at"])}),
    "dossier.refused": _plainly("refused"),
    "dossier.supplement_requested": lambda data: (
        "supplement", {"until": day(data["respond_by"])},
    ),
    "dossier.supplement_received": lambda data: ("accepted", {"due": day(data["due_at"])}),
    "dossier.fee_due": _fee_due,
    "dossier.rescheduled": lambda data: ("rescheduled", {"due": day(data["due_at"])}),
    "dossier.completed": _completed,
    "dossier.recalled": _plainly("recalled"),
    "dossier.withdrawn": _plainly("withdrawn"),
    "dossier.stopped": _plainly("stopped"),
    "payment.closed": _owed,
}  # fmt: skip
"""Event → what is said; None says nothing."""
