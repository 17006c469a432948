# SPDX-License-Identifier: Apache-2.0
"""A dossier's story as it is told: each event with who, why, where, and what became different."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.auditing.application.past import Past, differences
from services.common import contracts
from services.common.audit.subjects import erased_keys, personal_fields
from services.common.canonical import Json
from services.common.eventlog.record import RecordedEvent, category_of
from services.intake.application.cases import machine_of

Change = tuple[str, Json, Json]
_NOT_TOLD: Final = ("at.", "dossier.status_name")
"""What differs after every event, or says another line's thing again."""
_EMPTY: Final = (None, "", 0, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event of a story.

    Attributes:
        number: its place in the story, from 1.
        event: as the log has it.
        en: what happened.
        vi: the same in Vietnamese.
        actor: who recorded it: ``official:cb001``, ``machine:VT01``.
        reason: why, where somebody gave a reason.
        because: position of the event of this story that caused it.
        machine: serial, empty where none took part.
        changes: what became different by it.
        personal: how many personal values it has, and how many of them are erased.
    """

    number: int
    event: RecordedEvent
    en: str
    vi: str
    actor: str
    reason: str
    because: int | None
    machine: str
    changes: tuple[Change, ...]
    personal: tuple[int, int]


def told(story: Sequence[RecordedEvent]) -> list[Step]:
    """Return the steps of a story, oldest first."""
    past, steps = Past(), list[Step]()
    erased = erased_keys(story)
    positions = {str(event.event_id): event.position for event in story}
    before: dict[str, Json] = {}
    for number, event in enumerate(story, start=1):
        past.take(event)
        after = past.state()
        contract = contracts.lookup(event.type, event.schema)
        keys = [one.key in erased for one in personal_fields([event])]
        steps.append(
            Step(
                number=number, event=event, en=contract.en, vi=contract.vi,
                actor=str(event.meta.get("actor", "")), reason=reason_of(event),
                because=positions.get(str(event.meta.get("causation_id"))),
                machine=where(event),
                changes=changes_between(before, after),
                personal=(len(keys), sum(keys)),
            )
        )  # fmt: skip
        before = after
    return steps


def changes_between(before: dict[str, Json], after: dict[str, Json]) -> tuple[Change, ...]:
    """Return what became different for people: not what merely came into being empty."""
    return tuple(
        (name, was, now)
        for name, was, now in differences(before, after)
        if not name.startswith(_NOT_TOLD) and not (was in _EMPTY and now in _EMPTY)
    )


def reason_of(event: RecordedEvent) -> str:
    """Return why it happened, empty where nobody said."""
    for given in (event.meta.get("reason"), event.data.get("reason"), event.data.get("reasons")):
        if isinstance(given, list):
            return " · ".join(map(str, given))
        if given:
            return str(given)
    return ""


def where(event: RecordedEvent) -> str:
    """Return the serial of the machine that took part, empty where none did."""
    if category_of(event.stream) == "kiosk":
        return machine_of(event)
    return str(event.data.get("machine") or event.data.get("return_machine") or "")


def masked(
    event: RecordedEvent, story: Sequence[RecordedEvent], *, hidden: str, erased: str
) -> Mapping[str, Json]:
    """Return the event's data with ``hidden`` or ``erased`` in the place of personal values."""
    gone = erased_keys(story)
    stubs = {one.field: erased if one.key in gone else hidden for one in personal_fields([event])}
    return {**event.data, **stubs}
