# SPDX-License-Identifier: Apache-2.0
"""What a dossier was at any moment: folded from its events up to there, by the services' own folds.

Custody is folded from the dossier's story alone, so where a pouch lies after its bin was emptied is
known by the events that name it, not by the list of the bag.
"""

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Final

from services.common.canonical import Json
from services.common.eventlog.record import RecordedEvent, category_of
from services.common.eventlog.recording import facts_of
from services.intake.application.cases import happening
from services.intake.domain import dossier as dossiers
from services.intake.domain.custody import MemoryShelf, apply
from services.intake.domain.transitions import NAMES
from services.payment.domain import payment as payments

_DOSSIER: Final = (
    "status", "procedure", "procedure_version", "office", "machine", "code", "due_at", "opened",
    "rescheduled", "stopped_at", "return_channel", "return_machine", "ready_at",
)  # fmt: skip
_PAYMENT: Final = (
    "asked", "le_phi_due", "phi_due", "le_phi", "phi", "advance", "overpaid", "owed", "settled",
    "closed",
)  # fmt: skip


def state_of(story: Sequence[RecordedEvent]) -> dict[str, Json]:
    """Return a dossier's state after ``story``, flat: ``dossier.status``, ``payment.advance``.

    Empty for an empty story.
    """
    if not story:
        return {}
    last = story[-1]
    state: dict[str, Json] = {
        "at.position": last.position, "at.recorded": last.recorded_at.isoformat(),
        "at.event": last.type,
    }  # fmt: skip
    by_kind: dict[str, list[RecordedEvent]] = {}
    for event in story:
        by_kind.setdefault(category_of(event.stream), []).append(event)
    if "dossier" in by_kind:
        folded = dossiers.fold(facts_of(by_kind["dossier"]))
        state |= {f"dossier.{name}": _plain(getattr(folded, name)) for name in _DOSSIER}
        state["dossier.status_name"] = NAMES[folded.status][1] if folded.status else ""
    own = [event for event in by_kind.get("payment", []) if event.type.startswith("payment.")]
    if own:
        paid = payments.fold(facts_of(own))
        state |= {f"payment.{name}": _plain(getattr(paid, name)) for name in _PAYMENT}
    state |= _messages(by_kind.get("notification", []))
    state |= _places(story)
    return state


def differences(before: dict[str, Json], after: dict[str, Json]) -> list[tuple[str, Json, Json]]:
    """Return (name, before, after) of everything that differs, by name; None for absent."""
    return [
        (name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _messages(events: Sequence[RecordedEvent]) -> dict[str, Json]:
    template: dict[str, str] = {}
    state: dict[str, Json] = {}
    for event in events:
        template.setdefault(event.stream, str(event.data.get("template", "")))
        name = f"message.{template[event.stream]}.{event.stream[-8:]}"
        state[name] = event.type.partition(".")[2]
    return state


def _places(story: Sequence[RecordedEvent]) -> dict[str, Json]:
    shelf = MemoryShelf()
    for event in story:
        apply(shelf, happening(event))
    return {f"place.{item.kind}": item.place for item in shelf.items.values()}


def _plain(value: object) -> Json:
    if is_dataclass(value) and not isinstance(value, type):
        fields = asdict(value)
        return int(next(iter(fields.values()))) if len(fields) == 1 else str(fields)
    return value if isinstance(value, str | int | bool) or value is None else str(value)
