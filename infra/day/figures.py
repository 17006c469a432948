# SPDX-License-Identifier: Apache-2.0
"""Figures of the account, all folded from the log (and each service's own histogram)."""

import statistics
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from infra.audit_books import Line, dossiers_of, shelf_of
from infra.local.settings import LOG_ID, Stack
from infra.local.system import wait_until
from services.common.audit.seals import origin_of
from services.common.audit.verify import verify_log
from services.common.clock import SystemClock
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent
from services.common.integrity.notes import Signer, VerifierKey
from services.common.messaging.projector import Projection, Projector
from services.intake.projections.custody import CustodyProjection
from services.intake.projections.dossier import DossierProjection
from services.intake.seed.load import offices
from services.kiosk_sync.projections.machine import MachineProjection
from services.notify.projections.notification import NotificationProjection

STATUS: Final = {
    1: "1 mới đăng ký · registered", 2: "2 được tiếp nhận · accepted",
    3: "3 không được tiếp nhận · refused", 4: "4 đang xử lý · in process",
    5: "5 yêu cầu bổ sung · supplement asked", 6: "6 yêu cầu nghĩa vụ tài chính · fee due",
    7: "7 công dân yêu cầu rút · withdrawn", 8: "8 dừng xử lý · stopped",
    9: "9 đã xử lý xong · finished", 10: "10 đã trả kết quả · returned",
}  # fmt: skip
PROJECTIONS: Final[tuple[type[Projection], ...]] = (
    DossierProjection, CustodyProjection, MachineProjection, NotificationProjection,
)  # fmt: skip
_STATES: Final = (
    "requested", "attempted", "accepted", "failed", "outcome_unknown", "delivered",
)  # fmt: skip
_PER_PAYER: Final = ("advance:", "owed_to_citizen:", "owed_to_sender:")


def by_status(events: Iterable[RecordedEvent]) -> dict[str, int]:
    """Return how many dossiers are in which status."""
    counts = Counter(one.status for one in dossiers_of(events).values())
    return {STATUS[status]: counts[status] for status in sorted(counts)}


def by_place(events: Iterable[RecordedEvent]) -> dict[str, int]:
    """Return how many things are at which kind of place."""
    places = Counter[str]()
    for item in shelf_of(events).items.values():
        kind, _, where = item.place.partition(":")
        places[f"{item.kind} · {kind} {where if kind == 'office' else where[:4]}".rstrip()] += 1
    return dict(sorted(places.items()))


def kinds(events: Iterable[RecordedEvent]) -> list[Line]:
    """Compare what was handed in at machines, and what left them, with what offices offer."""
    handed, left = set[str](), set[str]()
    procedure = dict[str, str]()
    for event in events:
        if event.type in {"dossier.registered", "dossier.imported"}:
            procedure[event.stream] = str(event.data["procedure"])
            handed |= {procedure[event.stream]} if event.type == "dossier.registered" else set()
        elif event.type == "dossier.returned" and event.data["channel"] == "kiosk":
            left.add(procedure[event.stream])
    accepted, given = (
        {code for office in offices() for code in office[word]} for word in ("accept", "give_back")
    )
    return [
        Line("procedures handed in at machines", sorted(handed), sorted(accepted)),
        Line("kinds of results that left machines", sorted(left), sorted(given)),
    ]


def messages(events: Iterable[RecordedEvent]) -> dict[str, int]:
    """Return how many messages are in which state, by their template."""
    state: dict[str, str] = {}
    template: dict[str, str] = {}
    for event in events:
        name = event.type.partition(".")[2]
        if event.stream.startswith("notification-") and name in _STATES:
            state[event.stream] = name
            template.setdefault(event.stream, str(event.data.get("template", "")))
    counts = Counter(f"{template[stream]} · {name}" for stream, name in state.items())
    return dict(sorted(counts.items()))


def reports(events: Iterable[RecordedEvent]) -> dict[str, int]:
    """Return how many statuses the one-stop software was told, and how many it refused."""
    told = Counter(
        f"{event.type.partition('.')[2]} · {event.data['status']}"
        for event in events
        if event.type in {"dossier.reported", "dossier.report_disputed"}
    )
    return dict(sorted(told.items()))


def by_account(balances: Mapping[str, int]) -> dict[str, int]:
    """Return the balances with accounts of single people added up."""
    accounts = Counter[str]()
    for name, amount in balances.items():
        kind = next((kind for kind in _PER_PAYER if name.startswith(kind)), None)
        accounts[name if kind is None else f"{kind}*"] += amount
    return dict(sorted(accounts.items()))


def read_models(local: Stack, log: PostgresLog) -> list[Line]:
    """Compare every read model with one folded anew from the whole log."""
    lines = []
    for made in PROJECTIONS:
        projection = made()
        url = local.database_url(f"motcua_{projection.name.partition('.')[0]}")
        projector = Projector(projection, log, SystemClock(), database_url=url)
        with psycopg.connect(url, autocommit=True) as connection:
            wait_until(
                f"{projection.name} at the head of the log",
                partial(_is_at, connection, projection, log.head()), 30.0,
            )  # fmt: skip
            live = projector.digest(connection)
            projector.rebuild(connection)
            fresh = projector.digest(connection)
        lines.append(Line(f"read model {projection.name} = fresh replay", live, fresh))
    return lines


def seals(local: Stack, log: PostgresLog) -> list[Line]:
    """Verify the whole log once everything is sealed."""
    wait_sealed(local, log)
    with psycopg.connect(local.database_url("motcua_audit"), autocommit=True) as connection:
        report = verify_log(connection, LOG_ID, [seal_key(local)])
    return [
        Line("events under a signed checkpoint", log.head(), report.sealed),
        Line("changes a full verification finds", [], [str(one) for one in report.findings]),
    ]


def wait_sealed(local: Stack, log: PostgresLog) -> None:
    """Return once every event is under a checkpoint that the witness cosigned."""
    with psycopg.connect(local.database_url("motcua_audit"), autocommit=True) as connection:
        wait_until("everything sealed", partial(_is_sealed, connection, log.head()), 30.0)
        wait_until("everything cosigned", partial(_is_cosigned, connection, log.head()), 30.0)


def seal_key(local: Stack) -> VerifierKey:
    """Return the public half of the sealer's key."""
    seed = bytes.fromhex(local.secret("seal_key").read_text(encoding="utf-8"))
    return Signer(origin_of(LOG_ID, 1), seed).verifier


def _is_sealed(connection: psycopg.Connection, head: int) -> bool:
    row = connection.execute(
        "SELECT max(size) FROM eventlog.checkpoint WHERE log_id = %s", (LOG_ID,)
    ).fetchone()
    return row is not None and row[0] == head


def _is_cosigned(connection: psycopg.Connection, head: int) -> bool:
    row = connection.execute(
        "SELECT max(size) FROM eventlog.cosignature WHERE log_id = %s", (LOG_ID,)
    ).fetchone()
    return row is not None and row[0] == head


def latencies(local: Stack, events: list[RecordedEvent]) -> dict[str, tuple[str, ...]]:
    """Return count, median, 95th percentile and maximum of each kind of wait."""
    by_id = {str(event.event_id): event for event in events}
    reactions, centre = list[float](), list[float]()
    for event in events:
        cause = by_id.get(str(event.meta.get("causation_id")))
        if cause is not None and event.type != "notification.delivered":
            reactions.append((event.recorded_at_us - cause.recorded_at_us) / 1e6)
        if event.type == "kiosk.dossier_deposited":
            centre.append((event.recorded_at_us - event.occurred_at_us) / 1e6)
    return {
        "append to the log (mean, each service)": _appends(local),
        "event → reaction recorded": _spread(reactions),
        "deposit at the machine → centre": _spread(centre),
    }


def touches(events: list[RecordedEvent]) -> tuple[dict[str, int], dict[str, int]]:
    """Return acts of one-stop staff with machines, and for the same dossiers at a counter.

    At a counter every dossier is taken in by hand, its fee is collected and receipted, the citizen
    is told when it is ready, the result is handed over and booked in the one-stop software. With
    machines only what the log shows an official did.
    """
    counts = Counter(event.type for event in events)
    office = Counter(
        event.type
        for event in events
        if str(event.meta.get("actor", "")).startswith("official:")
        or event.type in {"kiosk.result_loaded", "kiosk.bin_emptied", "kiosk.result_recalled"}
    )
    paid = counts["payment.settled"]
    returned = counts["dossier.returned"]
    here = {
        "take in and register": 0,
        "check, accept, refuse, guide": sum(
            n for name, n in office.items()
            if name.startswith("dossier.") and name != "dossier.returned"
        ),
        "take the fee, write the receipt": 0,
        "pay back, clear up money": sum(
            n for name, n in office.items() if name.startswith("payment.")
        ),
        "tell that the result is ready": 0,
        "lay into a cell, empty, recall": office["kiosk.result_loaded"]
        + office["kiosk.bin_emptied"] + office["kiosk.result_recalled"],
        "hand over the result": office["dossier.returned"],
        "book the return in the one-stop software": office["dossier.returned"],
    }  # fmt: skip
    counter = {
        **here,
        "take in and register": counts["dossier.registered"],
        "take the fee, write the receipt": paid,
        "tell that the result is ready": counts["dossier.completed"],
        "lay into a cell, empty, recall": 0,
        "hand over the result": returned,
        "book the return in the one-stop software": returned,
    }
    return here, counter


def _is_at(connection: psycopg.Connection[Any], projection: Projection, head: int) -> bool:
    table = sql.Identifier(projection.name.partition(".")[0], "projection")
    query = sql.SQL("SELECT pos FROM {} WHERE name = %s").format(table)
    row = connection.execute(query, (projection.name,)).fetchone()
    return row is not None and int(row[0]) >= head


def _appends(local: Stack) -> tuple[str, ...]:
    count, seconds = 0.0, 0.0
    for name in ("intake", "payment", "notify", "kiosk-sync", "kiosk-sync-web"):
        with urllib.request.urlopen(
            f"http://127.0.0.1:{local.ports[name]}/metrics", timeout=5
        ) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            if family.name == "eventlog_append_seconds":
                for sample in family.samples:
                    count += sample.value * sample.name.endswith("_count")
                    seconds += sample.value * sample.name.endswith("_sum")
    return (f"{count:.0f}", f"{1000 * seconds / max(count, 1):.1f} ms", "", "")


def _spread(seconds: list[float]) -> tuple[str, ...]:
    cuts = statistics.quantiles(seconds, n=20)
    return (
        str(len(seconds)), *(f"{1000 * cut:.0f} ms" for cut in (cuts[9], cuts[18])),
        f"{max(seconds):.1f} s",
    )  # fmt: skip
