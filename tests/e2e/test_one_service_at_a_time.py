# SPDX-License-Identifier: Apache-2.0
"""Services need nobody but the log: a dossier goes its way with one of the four running at a time."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from infra.hands import Hands
from infra.local import prepare, stack
from infra.local.fresh import fresh_stack
from infra.local.servers import Servers
from infra.local.settings import LOG_ID, Stack
from infra.people import citizens
from services.common.clock import SystemClock
from services.common.eventlog.migrate import READ_MODELS, migrate
from services.common.eventlog.postgres import PostgresLog
from services.common.messaging.projector import Projection, Projector
from services.intake.projections.custody import CustodyProjection
from services.intake.projections.dossier import DossierProjection
from services.kiosk_sync.projections.machine import MachineProjection
from services.notify.projections.notification import NotificationProjection
from tests.support.waiting import wait_until

OF = {
    "intake": ("intake", "intake-web"),
    "payment": ("payment", "payment-web"),
    "notify": ("notify",),
    "kiosk_sync": ("kiosk-sync", "kiosk-sync-web", "kiosk-sync-downlink"),
}
PROJECTIONS: tuple[type[Projection], ...] = (
    DossierProjection, CustodyProjection, MachineProjection, NotificationProjection,
)  # fmt: skip


@dataclass
class Place:
    """A local installation under its supervisor."""

    local: Stack
    log: PostgresLog

    def alone(self, service: str) -> None:
        """Stop the other three, start ``service``, return once it is ready."""
        for other, names in OF.items():
            if other != service:
                stack.supervisor(self.local, "stop", *names)
        stack.supervisor(self.local, "start", *OF[service])
        stack.wait_ready(self.local, OF[service])

    def wait_for(self, kind: str, dossier: str) -> None:
        """Return once the dossier's story has an event of type ``kind``."""
        wait_until(
            lambda: kind in {event.type for event in self.log.read_subject(dossier)},
            timeout_s=40, what=kind,
        )  # fmt: skip

    def digests(self) -> dict[str, str]:
        """Return the digest of every read model once it stands at the head of the log."""
        found = {}
        for projection in PROJECTIONS:
            one = projection()
            service = one.name.partition(".")[0]
            url = self.local.database_url(f"motcua_{service}")
            projector = Projector(one, self.log, SystemClock(), database_url=url)
            with psycopg.connect(url, autocommit=True) as connection:
                wait_until(
                    lambda c=connection, s=service: self._at_head(c, s), timeout_s=40, what=one.name
                )
                found[one.name] = projector.digest(connection)
        return found

    def _at_head(self, connection: psycopg.Connection, service: str) -> bool:
        try:
            row = connection.execute(
                f"SELECT min(pos) FROM {service}.projection".encode()
            ).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return False
        return row is not None and row[0] == self.log.head()


@contextmanager
def installation() -> Iterator[Place]:
    """Servers and processes of their own."""
    with fresh_stack(Servers({}, "alone")) as local:
        prepare.everything(local)
        stack.supervise(local)
        stack.supervisor(local)
        log = PostgresLog(local.database_url("motcua_audit"), LOG_ID)
        try:
            stack.wait_ready(local, (*prepare.NAMEKO, *prepare.WEB))
            yield Place(local, log)
        finally:
            log.close()
            stack.stop(local)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_one_service_at_a_time() -> None:
    """Machine, registration, fee, message: each step with the other three stopped; then a rebuild."""
    with installation() as place:
        hands, citizen = Hands(place.local), citizens(random.Random(7))[0]
        place.alone("kiosk_sync")
        dossier = hands.deposit(citizen)
        place.wait_for("kiosk.dossier_deposited", dossier)
        place.alone("intake")
        place.wait_for("dossier.registered", dossier)
        place.alone("payment")
        place.wait_for("payment.requested", dossier)
        place.alone("kiosk_sync")
        offer = hands.await_offer(dossier)
        assert offer is not None
        place.alone("payment")
        hands.pay_by_qr(offer)
        place.wait_for("payment.settled", dossier)
        place.alone("intake")
        hands.accept(dossier)
        place.wait_for("dossier.accepted", dossier)
        place.alone("notify")
        place.wait_for("notification.accepted", dossier)
        for names in OF.values():
            stack.supervisor(place.local, "start", *names)
        before = place.digests()
        with psycopg.connect(place.local.admin_url(), autocommit=True) as connection:
            for service in READ_MODELS:
                connection.execute(f"DROP SCHEMA {service} CASCADE".encode())
        local = place.local
        migrate(local.admin_url(), local.admin_url(keys=True), local.passwords, LOG_ID)
        for names in OF.values():
            stack.supervisor(place.local, "restart", *names)
        stack.wait_ready(place.local, (*prepare.NAMEKO, *prepare.WEB))
        assert place.digests() == before
        again = hands.deposit(citizens(random.Random(8))[1])
        place.wait_for("payment.requested", again)
