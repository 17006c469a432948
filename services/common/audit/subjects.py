# SPDX-License-Identifier: Apache-2.0
"""Personal data of one dossier: what there is, who reads it, and its erasure.

Erasing goes in three steps, each of which may be repeated, so whoever was interrupted begins anew:
the data keys are destroyed, ``subject.erased`` is appended, the ciphertexts are deleted. No hash
changes, so every old checkpoint, proof and export stays valid (ADR-0007, ADR-0013). Law on
Personal Data Protection 91/2025/QH15: the right to erasure, and no longer than needed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from services.common import contracts
from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.port import KeyStore
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Cause, Change, Fact, Recorder

BASES: Final = ("request", "retention")
ERASED: Final = "subject.erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalField:
    """Where a personal value stands.

    Attributes:
        event: of which event.
        schema: version of the event's contract.
        field: name in the event.
        purpose: what its key may be used for.
        key: random id of its data key.
    """

    event: RecordedEvent
    schema: int
    field: str
    purpose: str
    key: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase:
    """An order to erase.

    Attributes:
        dossier: its id.
        purposes: only values kept for these; all for none.
        basis: ``request`` or ``retention``.
        reference: number of the paper that orders it; no free text.
        official: who.
    """

    dossier: str
    purposes: tuple[str, ...] = ()
    basis: str
    reference: str
    official: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an order did now; zeros where an earlier one did it."""

    values: int
    keys: int
    ciphertexts: int


def personal_fields(events: Iterable[RecordedEvent]) -> list[PersonalField]:
    """Return every personal value that ``events`` name, erased or not, oldest first."""
    found = []
    for event in events:
        purposes = contracts.lookup(event.type, event.schema).personal
        for name, purpose in purposes.items():
            stub = event.data.get(name)
            if isinstance(stub, dict):
                found.append(
                    PersonalField(
                        event=event, schema=event.schema, field=name, purpose=purpose,
                        key=UUID(str(stub["key"])),
                    )
                )  # fmt: skip
    return found


def erase(recorder: Recorder, keys: KeyStore, order: Erase) -> Erased:
    """Erase personal values of a dossier for good; the recorder's login is the eraser's.

    May be repeated at any time, also after it was interrupted anywhere.

    Raises:
        Refused: ``no_such_subject``, ``nothing_personal``, ``not_eraser``.
        Malformed: basis, reference or official do not satisfy the contract; nothing was erased.
        Unavailable: a database is down; begin anew.
    """
    log = recorder.log
    story = _story(recorder, order.dossier)
    wanted = [
        one for one in personal_fields(story) if not order.purposes or one.purpose in order.purposes
    ]
    if not wanted:
        raise Refused(
            "nothing_personal", "the dossier has no such personal data",
            "hồ sơ không có dữ liệu cá nhân thuộc loại này", field="purposes",
        )  # fmt: skip
    ids = sorted({one.key for one in wanted}, key=str)
    contracts.newest(ERASED).check(_data(order, wanted))
    destroyed = keys.destroy(ids)
    stream = f"subject-{order.dossier}"

    def changes() -> list[Change]:
        events = log.read_stream(stream)
        named = _named(events)
        left = [one for one in wanted if one.key not in named]
        if not left:
            return []
        fact = Fact(type=ERASED, data=_data(order, left), subject=order.dossier)
        return [Change(stream=stream, expected_version=len(events), facts=(fact,))]

    recorder.decide(
        changes, source="subject.erase", key=str(uuid4()),
        cause=Cause(correlation_id=str(uuid4()), actor=f"official:{order.official}"),
        asked=["erase", order.dossier, [str(one) for one in ids]],
    )  # fmt: skip
    gone = sum(log.forget(event.position) for event in log.read_stream(stream))
    return Erased(values=len(wanted), keys=destroyed, ciphertexts=gone)


def read(
    recorder: Recorder, dossier: str, *, purpose: str, reader: str
) -> list[tuple[PersonalField, Json]]:
    """Open the dossier's values kept for ``purpose``; None stands for an erased one.

    Every value is noted as ``access.personal_read`` before it is opened.

    Raises:
        Refused: ``no_such_subject``, ``purpose_not_granted``.
        Unavailable: a database is down.
    """
    wanted = [one for one in personal_fields(_story(recorder, dossier)) if one.purpose == purpose]
    stream = f"access-{dossier}"

    def changes() -> list[Change]:
        facts = tuple(
            Fact(
                type="access.personal_read", subject=dossier,
                data={
                    "dossier": dossier, "event": str(one.event.event_id), "field": one.field,
                    "purpose": purpose, "reader": reader,
                },
            )
            for one in wanted
        )  # fmt: skip
        version = recorder.log.stream_version(stream)
        return [Change(stream=stream, expected_version=version, facts=facts)] if facts else []

    recorder.decide(
        changes, source="subject.read", key=str(uuid4()),
        cause=Cause(correlation_id=str(uuid4()), actor=f"official:{reader}"),
        asked=["read", dossier, purpose, reader],
    )  # fmt: skip
    return [
        (one, recorder.read_personal(one.event.event_id, one.schema, one.field)) for one in wanted
    ]


def erased_keys(events: Sequence[RecordedEvent]) -> frozenset[UUID]:
    """Return the keys that the ``subject.erased`` among ``events`` name."""
    return _named([event for event in events if event.type == ERASED])


def _story(recorder: Recorder, dossier: str) -> Sequence[RecordedEvent]:
    story = recorder.log.read_subject(dossier)
    if not story:
        raise Refused(
            "no_such_subject", "no event is about this dossier", "không có hồ sơ này",
            field="dossier",
        )  # fmt: skip
    return story


def _named(events: Sequence[RecordedEvent]) -> frozenset[UUID]:
    named: set[UUID] = set()
    for event in events:
        listed = event.data["keys"]
        assert isinstance(listed, list), "the contract lists the keys"
        named |= {UUID(str(one)) for one in listed}
    return frozenset(named)


def _data(order: Erase, fields: Sequence[PersonalField]) -> dict[str, Json]:
    return {
        "dossier": order.dossier,
        "keys": sorted({str(one.key) for one in fields}),
        "purposes": sorted({one.purpose for one in fields}),
        "basis": order.basis,
        "reference": order.reference,
        "official": order.official,
    }
