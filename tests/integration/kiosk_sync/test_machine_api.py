# SPDX-License-Identifier: Apache-2.0
"""The machines' API as machines meet it: real TLS, real process; and bad input of every kind."""

import gzip
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from infra.local.pki import Authority, fingerprint
from infra.local.system import free_port
from services.common.clock import SystemClock
from services.common.errors import Unavailable
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Cause, Recorder
from services.common.runtime import CoreConfig
from services.kiosk_sync import protocol
from services.kiosk_sync.application.commands import order_machine
from services.kiosk_sync.bootstrap import bootstrap
from services.kiosk_sync.config import Config
from services.kiosk_sync.domain.machine import EnrolMachine, RevokeMachine
from services.kiosk_sync.edge.centre import Answer, Centre
from services.kiosk_sync.edge.sync import IDLE, SENT, Uploader
from services.kiosk_sync.web.server import make_app
from tests.support.database import KEK, LOG_ID, Database
from tests.support.machines import (
    CENTRE_BOX,
    CENTRE_SIGN,
    EPOCH,
    MACHINE_SIGN,
    SERIAL,
    machine_in,
)
from tests.support.offices import SERVICE_KEY
from tests.support.openapi import check_openapi
from tests.support.processes import Process

CAUSE = Cause(correlation_id=str(uuid.UUID(int=9)), actor="official:test")


@dataclass(frozen=True)
class Place:
    """A running upload process, and what machines need to reach it."""

    url: str
    pki: Path
    log: PostgresLog
    recorder: Recorder

    def centre(self, name: str = SERIAL, serial: str = SERIAL) -> Centre:
        """Connect with the certificate of ``name``."""
        client = (str(self.pki / f"{name}.pem"), str(self.pki / f"{name}.key"))
        return Centre(self.url, serial, EPOCH, ca=str(self.pki / "ca.pem"), client=client)

    def enrol(self, serial: str, epoch: int = EPOCH) -> None:
        """Let a machine speak."""
        for number in range(1, epoch + 1):
            command = EnrolMachine(
                serial=serial, epoch=number, office="VT", approved_by="CB02",
                tls_fingerprint=fingerprint(self.pki / f"{serial}.pem"),
                sign_key=MACHINE_SIGN.public_key().public_bytes_raw().hex(),
            )  # fmt: skip
            key = f"{serial}/{number}"
            order_machine(self.recorder, serial, command, source="test", key=key, cause=CAUSE)


@pytest.fixture(scope="module")
def place(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One upload process for the module."""
    folder = tmp_path_factory.mktemp("machines")
    authority, stranger = Authority(folder), Authority(folder / "other")
    authority.issue("centre", server=True)
    for name in (SERIAL, "VT02", "VT03"):
        authority.issue(name, server=False)
    for kind, path in zip(("pem", "key"), stranger.issue("forger", server=False), strict=True):
        path.rename(folder / f"forger.{kind}")
    log, keys = database.log("motcua_kiosk_sync"), database.keys("motcua_kiosk_sync")
    recorder = Recorder(log, keys, SystemClock(), SERVICE_KEY)
    port = free_port()
    process = Process(
        "services.kiosk_sync",
        {
            "MOTCUA_LOG_ID": str(LOG_ID),
            "MOTCUA_DATABASE_URL": database.url_for("motcua_kiosk_sync"),
            "MOTCUA_KEYS_DATABASE_URL": database.keys_url_for("motcua_kiosk_sync"),
            "MOTCUA_AMQP_URL": "amqp://unused:not-a-default-one@127.0.0.1/motcua",
            "MOTCUA_SERVICE_KEY": SERVICE_KEY.hex(),
            "MOTCUA_KEK": KEK.hex(),
            "MOTCUA_HTTP_PORT": str(port),
            "MOTCUA_CENTRAL_SIGN_KEY": (b"c" * 31 + b"d").hex(),
            "MOTCUA_CENTRAL_BOX_KEY": (b"x" * 31 + b"y").hex(),
            "MOTCUA_TLS_CERT_FILE": str(folder / "centre.pem"),
            "MOTCUA_TLS_KEY_FILE": str(folder / "centre.key"),
            "MOTCUA_TLS_CLIENT_CA_FILE": str(folder / "ca.pem"),
        },
        folder / "web.log",
        ("web",),
    )
    found = Place(f"https://127.0.0.1:{port}", folder, log, recorder)
    found.enrol(SERIAL)
    try:
        process.wait_ready()
        yield found
    finally:
        process.end()
        log.close()
        keys.close()


def test_a_journal_travels_over_tls(place: Place, tmp_path: Path) -> None:
    """The machine greets, sends, and is told where the centre stands; again changes nothing."""
    hands = machine_in(tmp_path)
    with hands.machine.store.transaction() as tx:
        tx.append("kiosk.booted", {"release": "1"}, session=str(uuid.UUID(int=1)))
    up = Uploader(hands.machine.store, place.centre(), MACHINE_SIGN)
    assert [up.step(), up.step(), up.step()] == [SENT, SENT, IDLE]
    held = place.log.read_stream(protocol.stream(SERIAL, EPOCH))
    assert [event.type for event in held] == ["kiosk.booted"]
    again = Uploader(hands.machine.store, place.centre(), MACHINE_SIGN)
    assert [again.step(), again.step()] == [SENT, IDLE]
    assert len(place.log.read_stream(protocol.stream(SERIAL, EPOCH))) == 1


@pytest.mark.parametrize("name", ["forger", ""])
def test_no_handshake_without_our_certificate(place: Place, name: str) -> None:
    """Another authority's certificate, or none, does not get as far as HTTP."""
    if name:
        with pytest.raises(Unavailable):
            place.centre(name).hello(1, protocol.genesis(SERIAL, EPOCH))
        return
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(f"{place.url}/kiosk/v1/catalogue", verify=str(place.pki / "ca.pem"), timeout=5)


@pytest.mark.parametrize(("name", "serial"), [("VT02", SERIAL), (SERIAL, "VT02"), ("VT02", "VT02")])
def test_a_certificate_is_for_one_machine(place: Place, name: str, serial: str) -> None:
    """With another machine's certificate, or unenrolled: locked out, by name, nothing recorded."""
    head = place.log.head()
    answer = place.centre(name, serial).hello(1, protocol.genesis(serial, EPOCH))
    assert (answer.status, answer.body["code"]) == (423, "machine_unknown")
    assert place.log.head() == head


def test_a_revoked_machine_is_locked_at_the_next_request(place: Place) -> None:
    """Revocation is a fact of the log; no certificate list has to travel."""
    place.enrol("VT03")
    centre = place.centre("VT03", "VT03")
    assert centre.hello(1, protocol.genesis("VT03", EPOCH)).status == 200
    order_machine(
        place.recorder, "VT03", RevokeMachine(reason="stolen", by="CB01"),
        source="test", key="revoke", cause=CAUSE,
    )  # fmt: skip
    answer = centre.hello(1, protocol.genesis("VT03", EPOCH))
    assert (answer.status, answer.body["code"]) == (423, "machine_revoked")


def upload(seq: int = 1, *, release: str = "9", prev: str | None = None) -> protocol.Upload:
    """Return a signed upload of one record."""
    record = protocol.Record(
        seq=seq, type="kiosk.booted", schema=1, occurred_at_us=1_700_000_000_000_000,
        clock={"boot": "b", "boot_ms": 1, "quality": "good", "error_ms": 1},
        session=str(uuid.UUID(int=1)), subject=None, data={"release": release},
        prev=prev or protocol.genesis(SERIAL, EPOCH),
    )  # fmt: skip
    head = record.hash(SERIAL, EPOCH)
    signature = protocol.sign_batch(MACHINE_SIGN, SERIAL, EPOCH, (record,), head)
    return protocol.Upload(
        serial=SERIAL, epoch=EPOCH, head=head, signature=signature, records=(record,),
        parcels=(), keys=(),
    )  # fmt: skip


def test_lies_in_an_upload(place: Place) -> None:
    """A changed signature, a record that does not fit its hash, a gap: refused, nothing changed."""
    good, centre, head = upload(900), place.centre(), place.log.head()
    forged = replace(good, signature="00" * 64)
    answer = centre.upload(protocol.encode_upload(forged))
    assert (answer.status, _fields(answer)) == (422, ["header.sig"])
    changed = replace(good, records=(replace(good.records[0], data={"release": "evil"}),))
    answer = centre.upload(protocol.encode_upload(changed))
    assert (answer.status, _fields(answer)) == (422, ["header.head"])
    answer = centre.upload(protocol.encode_upload(good))
    assert (answer.status, answer.body["error"]) == (409, "gap")
    assert int(str(answer.body["next"])) < 900
    assert place.log.head() == head


def _fields(answer: Answer) -> list[str]:
    problems = answer.body["problems"]
    assert isinstance(problems, list)
    return [problem["field"] for problem in problems]


BODIES = [
    (b"", 422, "$"),
    (b"not gzip", 422, "$"),
    (gzip.compress(b"", mtime=0), 422, "header"),
    (gzip.compress(b"\x00\xff", mtime=0), 422, "header"),
    (gzip.compress(b"{}\n", mtime=0), 422, "header"),
    (gzip.compress(b"[]\n", mtime=0), 422, "header"),
    (gzip.compress(b"0" * 40_000_000, mtime=0), 422, "$"),
    (b"x" * 1_200_000, 413, None),
]


@pytest.mark.parametrize(("body", "status", "field"), BODIES)
def test_bad_uploads(place: Place, body: bytes, status: int, field: str | None) -> None:
    """Not gzip, not JSON, a bomb, too long: refused by name, nothing changed."""
    head = place.log.head()
    answer = place.centre().upload(body)
    assert answer.status == status, answer
    if field is not None:
        assert _fields(answer)
        assert field == "$" or _fields(answer)[0].startswith(field)
    assert place.log.head() == head


def test_the_document_is_true(database: Database, tmp_path: Path) -> None:
    """Generated good and bad requests get what the OpenAPI document promises, never a 5xx."""
    core = CoreConfig(
        service="kiosk_sync", log_id=LOG_ID, database_url=database.url_for("motcua_kiosk_sync"),
        keys_database_url=database.keys_url_for("motcua_kiosk_sync"), amqp_url="amqp://unused/",
        service_key=SERVICE_KEY, key_encryption_key=KEK, http_host="127.0.0.1", metrics_port=0,
        log_format=None,
    )  # fmt: skip
    service = bootstrap(Config(
        core=core, http_port=0, central_sign_key=CENTRE_SIGN.private_bytes_raw(),
        central_box_key=CENTRE_BOX.private_bytes_raw(), tls_cert="", tls_key="", client_ca="",
    ))  # fmt: skip
    service.runtime.open(serve_health=False)
    head = service.runtime.log.head()
    try:
        for kind, wanted in (("web", 3), ("downlink", 1)):
            seen = check_openapi(make_app(service, kind), {})
            assert len({operation for operation, _ in seen}) == wanted
    finally:
        assert service.runtime.log.head() == head
        service.runtime.close()
