# SPDX-License-Identifier: Apache-2.0
"""Before the first start: databases, roles, schema, broker topology and users, seed, enrolment."""

import json
import re
import secrets
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from infra.local.settings import LOG_ID, LOOKER, MACHINES, VHOST, Stack
from infra.local.stack import machine_identity
from services.common.clock import SystemClock
from services.common.eventlog.keys import PostgresKeys
from services.common.eventlog.migrate import LOGINS, migrate
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Cause, Recorder
from services.common.messaging import topology
from services.intake.seed.load import seed
from services.kiosk_sync.application.commands import order_machine
from services.kiosk_sync.domain.machine import EnrolMachine

DEFINITIONS: Final = Path("infra/rabbitmq/definitions.json")
WEB: Final = (
    "intake-web", "payment-web", "kiosk-sync-web", "kiosk-sync-downlink", "notify-feed",
    "notify-web", "audit-web",
)  # fmt: skip
NAMEKO: Final = (
    "intake", "payment", "notify", "notify-webhooks", "kiosk-sync", "relay", "sealer",
)  # fmt: skip


def everything(stack: Stack) -> None:
    """Create databases, roles, schema, broker topology and users; safe to run again."""
    with psycopg.connect(stack.addresses.database_url, autocommit=True) as connection:
        known = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for name in (stack.database, f"{stack.database}_keys"):
            if name not in known:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate(stack.admin_url(), stack.admin_url(keys=True), stack.passwords, LOG_ID)
    broker(stack)
    people(stack)


def broker(stack: Stack) -> None:
    """Load the topology and make one broker user for each process; safe to run again."""
    _api(stack, "POST", "/definitions", json.loads(DEFINITIONS.read_text(encoding="utf-8")))
    for role in (*LOGINS, LOOKER):
        user = {"password": stack.passwords[role], "tags": ""}
        _api(stack, "PUT", f"/users/{role}", user)
        rights = topology.permissions(role.removeprefix("motcua_"))
        _api(stack, "PUT", f"/permissions/{quote(VHOST, safe='')}/{role}", rights)


def listener(stack: Stack, queue: str) -> str:
    """Make a broker user that may listen to events through ``queue`` only; returns its URL."""
    password, own = secrets.token_hex(16), re.escape(queue)
    _api(stack, "PUT", f"/users/{queue}", {"password": password, "tags": ""})
    rights = {
        "configure": f"^{own}$", "write": f"^{own}$",
        "read": f"^({own}|{re.escape(topology.EVENTS)})$",
    }  # fmt: skip
    _api(stack, "PUT", f"/permissions/{quote(VHOST, safe='')}/{queue}", rights)
    parts = urlsplit(stack.addresses.amqp_url)
    return f"amqp://{queue}:{password}@{parts.hostname}:{parts.port}/{VHOST}"


def people(local: Stack) -> None:
    """Publish the procedures, open the offices, let the machines speak."""
    key = bytes.fromhex(local.secret("service_key").read_text())
    kek = bytes.fromhex(local.secret("kek").read_text())

    def recorder(role: str) -> Recorder:
        log = PostgresLog(local.database_url(role), LOG_ID)
        keys = PostgresKeys(local.database_url(role, keys=True), kek)
        return Recorder(log, keys, SystemClock(), key)

    intake, fleet = recorder("motcua_intake"), recorder("motcua_kiosk_sync")
    seed(intake)
    cause = Cause(correlation_id=str(uuid.uuid4()), actor="official:demo")
    for serial in MACHINES:
        order = EnrolMachine(epoch=1, approved_by="demo", **machine_identity(local, serial))
        order_machine(fleet, serial, order, source="cli:enrol", key=f"{serial}/1", cause=cause)
    for each in (intake, fleet):
        assert isinstance(each.log, PostgresLog), "made above"
        each.log.close()


def _api(stack: Stack, method: str, path: str, body: Mapping[str, object]) -> None:
    parts = urlsplit(stack.addresses.management_url)
    opener = urllib.request.build_opener()
    request = urllib.request.Request(
        f"http://{parts.hostname}:{parts.port}/api{path}",
        method=method,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": _basic(parts.netloc)},
    )
    with opener.open(request, timeout=20):
        pass


def _basic(netloc: str) -> str:
    return "Basic " + b64encode(netloc.rpartition("@")[0].encode()).decode()
