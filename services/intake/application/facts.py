# SPDX-License-Identifier: Apache-2.0
"""What intake reads from the log: dossiers, and other services' facts by their contracts."""

from collections.abc import Mapping
from datetime import date

from services.common import contracts
from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Fact, facts_of
from services.intake.domain.dossier import Dossier, fold
from services.intake.domain.dossier import Fact as DomainFact


def dossier_of(log: EventLog, dossier: str) -> Dossier:
    """Return the dossier folded from its stream."""
    return fold(facts_of(log.read_stream(f"dossier-{dossier}")))


def fee_settled(log: EventLog, dossier: str) -> bool:
    """Say whether payment holds every fee asked for ``dossier`` to be covered."""
    settled = False
    for event in log.read_stream(f"payment-{dossier}"):
        if event.type in {"payment.requested", "payment.duty_requested"}:
            settled = False
        settled = settled or event.type == "payment.settled"
    return settled


def settles_last_duty(log: EventLog, dossier: str, settled: RecordedEvent) -> bool:
    """Say whether ``settled`` covers the further fee that the dossier waits for now.

    An earlier settlement that is handled late (by the sweeper, after an outage) must not clear it.
    """
    asked = [e for e in log.read_stream(f"dossier-{dossier}") if e.type == "dossier.fee_due"]
    covered = ""
    for event in log.read_stream(settled.stream):
        if event.version >= settled.version:
            break
        if event.type == "payment.duty_requested":
            covered = str(data_of(event)["duty_event"])
        elif event.type == "payment.settled":
            covered = ""
    return bool(asked) and covered == str(asked[-1].event_id)


def procedure_of(log: EventLog, code: str, version: int) -> Mapping[str, Json]:
    """Return the pinned version of a procedure; raises Refused ``unknown_procedure``."""
    for event in log.read_stream(f"procedure-{code}", after_version=version - 1, limit=1):
        return data_of(event)
    raise Refused(
        "unknown_procedure",
        f"procedure {code} has no version {version}",
        f"thủ tục {code} không có phiên bản {version}",
        field="procedure",
    )


def version_on(log: EventLog, code: str, day: date) -> int:
    """Return the version of a procedure in force on a day; raises ``unknown_procedure``."""
    in_force = 0
    for event in log.read_stream(f"procedure-{code}"):
        if str(data_of(event)["valid_from"]) <= day.isoformat():
            in_force = event.version
    if not in_force:
        raise Refused(
            "unknown_procedure",
            f"procedure {code} was not in force on {day}",
            f"thủ tục {code} chưa có hiệu lực ngày {day}",
            field="procedure",
        )
    return in_force


def office_of(log: EventLog, office: str, on: date) -> Mapping[str, Json]:
    """Return an office with the name and code it has on a day; raises ``unknown_office``."""
    found: dict[str, Json] = {}
    for event in log.read_stream(f"office-{office}"):
        data = data_of(event)
        if event.type == "office.opened" or str(data["valid_from"]) <= on.isoformat():
            found.update(data)
    if not found:
        raise Refused("unknown_office", "no such office", "không có bộ phận này", field="office")
    return found


def office_of_machine(log: EventLog, serial: str) -> str:
    """Return the office that a machine is enrolled for; raises Refused ``unknown_machine``."""
    office = None
    for event in log.read_stream(f"config-{serial}"):
        if event.type == "config.machine_enrolled":
            office = str(data_of(event)["office"])
    if office is None:
        raise Refused("unknown_machine", "no such machine", "không có máy này", field="machine")
    return office


def data_of(event: RecordedEvent) -> Mapping[str, Json]:
    """Return an event's data lifted to the newest schema."""
    return contracts.current(event.type, event.schema, event.data)


def facts(decided: list[DomainFact], subject: str) -> tuple[Fact, ...]:
    """Return decided domain facts about a dossier, ready to be recorded."""
    return tuple(
        Fact(type=name, data=data, subject=subject)  # type: ignore[arg-type]  # JSON by contract
        for name, data in decided
    )
