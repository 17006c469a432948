# SPDX-License-Identifier: Apache-2.0
"""What a dossier was at any moment: folded from its events up to there, by the services' own folds.

Custody is folded from the dossier's story alone, so where a pouch lies after its bin was emptied is
known by the events that name it, not by the list of the bag.
"""

from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from typing import Final

from services.common.canonical import Json
from services.common.eventlog.record import RecordedEvent, category_of
from services.common.eventlog.recording import facts_of
from services.intake.application.cases import happening
from services.intake.domain import dossier as dossiers
from services.intake.domain.custody import MemoryShelf, apply
from services.intake.domain.dossier import Dossier
from services.intake.domain.transitions import NAMES
from services.payment.domain import payment as payments
from services.payment.domain.payment import Payment

DOSSIER: Final = (
    "status", "procedure", "procedure_version", "office", "machine", "code", "due_at", "opened",
    "rescheduled", "stopped_at", "return_channel", "return_machine", "ready_at",
)  # fmt: skip
PAYMENT: Final = (
    "asked", "le_phi_due", "phi_due", "cash", "bank", "le_phi", "phi", "advance", "overpaid",
    "owed", "settled", "closed",
)  # fmt: skip


class Past:
    """A dossier as its events make it, one after the other."""

    def __init__(self) -> None:
        """Begin before the first one."""
        self._last: RecordedEvent | None = None
        self._dossier: Dossier | None = None
        self._payment: Payment | None = None
        self._shelf = MemoryShelf()
        self._templates: dict[str, str] = {}
        self._messages: dict[str, Json] = {}

    def take(self, event: RecordedEvent) -> None:
        """Let the next event of the dossier's story happen."""
        self._last = event
        kind = category_of(event.stream)
        if kind == "dossier":
            ((name, data),) = facts_of([event])
            self._dossier = dossiers.evolve(self._dossier or Dossier(), name, data)
        elif kind == "payment" and event.type.startswith("payment."):
            ((name, data),) = facts_of([event])
            self._payment = payments.evolve(self._payment or Payment(), name, data)
        elif kind == "notification":
            template = str(event.data.get("template", ""))
            known = self._templates.setdefault(event.stream, template)
            what = f"message.{known}.{event.stream[-8:]}"
            self._messages[what] = event.type.partition(".")[2]
        apply(self._shelf, happening(event))

    def state(self) -> dict[str, Json]:
        """Return what it is now, flat: ``dossier.status``, ``payment.advance``; empty at first."""
        if self._last is None:
            return {}
        state: dict[str, Json] = {
            "at.position": self._last.position, "at.recorded": self._last.recorded_at.isoformat(),
            "at.event": self._last.type,
        }  # fmt: skip
        if self._dossier is not None:
            state |= {f"dossier.{name}": _plain(getattr(self._dossier, name)) for name in DOSSIER}
            status = self._dossier.status
            state["dossier.status_name"] = NAMES[status][1] if status else ""
        if self._payment is not None:
            state |= {f"payment.{name}": _plain(getattr(self._payment, name)) for name in PAYMENT}
        places = {f"place.{item.kind}": item.place for item in self._shelf.items.values()}
        return state | self._messages | places


def state_of(story: Iterable[RecordedEvent]) -> dict[str, Json]:
    """Return a dossier's state after ``story``; empty for an empty story."""
    past = Past()
    for event in story:
        past.take(event)
    return past.state()


def differences(before: dict[str, Json], after: dict[str, Json]) -> list[tuple[str, Json, Json]]:
    """Return (name, before, after) of everything that differs, by name; None for absent."""
    return [
        (name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _plain(value: object) -> Json:
    if is_dataclass(value) and not isinstance(value, type):
        fields = asdict(value)
        return int(next(iter(fields.values()))) if len(fields) == 1 else str(fields)
    return value if isinstance(value, str | int | bool) or value is None else str(value)
