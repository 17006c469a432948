# SPDX-License-Identifier: Apache-2.0
"""A sealed log with people in it, as an auditor finds it, and the pages over it."""

import uuid
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta

import psycopg

from services.auditing.bootstrap import Auditing
from services.auditing.config import AuditConfig
from services.common.audit.subjects import Erase, erase, read
from services.common.canonical import Json
from services.common.clock import SystemClock, to_micros
from services.common.eventlog.port import KeyStore
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.common.integrity.notes import Note
from services.common.runtime import ReadConfig
from services.common.web.people import LoginConfig
from tests.support.database import LOG_ID, Database
from tests.support.offices import SERVICE_KEY, HandClock, Office
from tests.support.sealed_log import SIGNER, seal
from tests.support.witnesses import WITNESS

ROLE = "motcua_audit_web"
CODE = "H30.12-261116-0001"
EVIL = "Cán bộ <script>alert(1)</script> ốm"
TRUSTED = (SIGNER.verifier, WITNESS.verifier)


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What is in the log.

    Attributes:
        whole: dossier from deposit to collection, with a code, money, a message, a reason.
        erased: dossier whose citizen was erased.
        head: last position.
    """

    database: Database
    whole: str
    erased: str
    head: int


def fill(database: Database, readings: int = 60) -> Audited:
    """Make a log: two dossiers, readings of personal data, seals, a witness, two patrols."""
    with ExitStack() as opened:

        def log_as(role: str) -> object:
            return opened.enter_context(closing(database.log(role)))

        def keys_as(role: str) -> KeyStore:
            return opened.enter_context(closing(database.keys(role)))

        clock = HandClock()
        office = Office(log_as, keys_as("motcua_kiosk_sync"), clock)  # type: ignore[arg-type]
        whole, erased = office.deposit(pouch="P-1"), office.deposit(pouch="P-2")
        _live(office, whole)
        seal(database)
        auditor = Recorder(log_as("motcua_audit"), keys_as("motcua_audit"), clock, SERVICE_KEY)  # type: ignore[arg-type]
        for number in range(readings):
            clock.at += timedelta(minutes=1)
            who = "cb007" if number % 3 else "cb008"
            read(auditor, whole if number % 2 else erased, purpose="contact", reader=who)
        eraser = Recorder(log_as("motcua_eraser"), keys_as("motcua_eraser"), clock, SERVICE_KEY)  # type: ignore[arg-type]
        erase(eraser, keys_as("motcua_eraser"),
              Erase(dossier=erased, basis="request", reference="CV-1", official="cb007"))  # fmt: skip
        seal(database)
        _cosign(database)
        _patrol(database)
        return Audited(database=database, whole=whole, erased=erased, head=office.log.head())


def auditing(audited: Audited, login: LoginConfig, *, http_port: int = 1) -> Auditing:
    """Return the pages' runtime with its own database login; the caller closes it."""
    return Auditing(
        AuditConfig(
            read=ReadConfig(
                service="audit_web", log_id=LOG_ID, metrics_port=0, http_host="127.0.0.1",
                database_url=audited.database.url_for(ROLE), log_format="json",
            ),
            http_port=http_port, login=login, trusted=TRUSTED,
        )
    )  # fmt: skip


def _live(office: Office, dossier: str) -> None:
    """Let a dossier be asked for its fee, paid, accepted, refused nothing, collected."""

    def tell(role: str, stream: str, kind: str, **data: Json) -> None:
        office.clock.at += timedelta(minutes=7)
        change = Change(
            stream=stream, expected_version=office.log.stream_version(stream),
            facts=(Fact(type=kind, data=data, subject=dossier),),
        )  # fmt: skip
        official = role == "motcua_intake"
        office.recorder(role).record(
            [change], source="test", key=str(uuid.uuid4()), asked=[],
            cause=Cause(correlation_id=str(uuid.uuid4()),
                        actor="official:cb001" if official else "payment.reactions"),
        )  # fmt: skip

    own, paid = f"dossier-{dossier}", f"payment-{dossier}"
    tell("motcua_payment", paid, "payment.requested", procedure="2.000635", procedure_version=1,
         le_phi_vnd=8000, phi_vnd=0, amount_vnd=8000, token="ABCDEFGH", qr="", machine="VT01")  # fmt: skip
    tell("motcua_payment", paid, "payment.cash_credited", machine="VT01", denomination_vnd=10_000,
         note_event=str(uuid.uuid4()))  # fmt: skip
    tell("motcua_payment", paid, "payment.settled", method="cash", amount_vnd=8000, paid_vnd=10_000,
         overpaid_vnd=2000)  # fmt: skip
    registered = office.log.read_subject(dossier)[0]
    tell("motcua_intake", own, "dossier.registered", channel="kiosk", machine="VT01", office="VT",
         procedure="2.000635", procedure_version=1, pouch="P-1", copies=1, pages=1,
         papers=["Tờ khai"], exemption=None, lookup="0" * 64,
         contact_event=str(registered.event_id))  # fmt: skip
    tell("motcua_intake", "office-VT.codes.261116", "office.code_assigned", office="VT", code=CODE,
         dossier=dossier)  # fmt: skip
    tell("motcua_intake", own, "dossier.accepted", code=CODE, working_days=1, official="cb001",
         due_at="2026-11-18T15:00:00+07:00")  # fmt: skip
    tell("motcua_intake", own, "dossier.rescheduled", reason=EVIL, form="04", official="cb001",
         due_at="2026-11-20T15:00:00+07:00", in_time=True)  # fmt: skip
    office.load(dossier)
    office.release(dossier)


def _cosign(database: Database) -> None:
    with psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection:
        row = connection.execute(
            "SELECT size, note FROM eventlog.checkpoint ORDER BY size DESC LIMIT 1"
        ).fetchone()
        assert row is not None
        line = WITNESS.cosign(Note.parse(row[1]).text, 1_795_000_000)
        connection.execute(
            "INSERT INTO eventlog.cosignature (log_id, size, witness, line) VALUES (%s, %s, %s, %s)",
            (LOG_ID, row[0], WITNESS.verifier.name, line),
        )


def _patrol(database: Database) -> None:
    now_us = to_micros(SystemClock().now())
    with psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO eventlog.patrol_round (log_id, ended_at, began_at, size, found)"
            " VALUES (%s, %s, %s, 12, NULL)",
            (LOG_ID, now_us, now_us - 900_000),
        )
