# SPDX-License-Identifier: Apache-2.0
"""Least privilege, tried with each service's own login."""

import psycopg
import pytest

from services.common.errors import Refused
from services.common.eventlog import arrays, batch
from services.common.eventlog.migrate import LOGINS, READ_MODELS
from services.common.personal import new_data_key
from tests.support.database import LOG_ID, Database
from tests.support.events import request

TABLES = ("event", "log_head", "stream_head", "append_key", "handled", "reactor", "event_pii")
CHANGES = ("UPDATE eventlog.{} SET log_id = 1", "DELETE FROM eventlog.{}", "TRUNCATE eventlog.{}")


@pytest.mark.parametrize("role", LOGINS)
@pytest.mark.parametrize("change", CHANGES)
def test_no_login_changes_the_log(database: Database, role: str, change: str) -> None:
    """UPDATE, DELETE and TRUNCATE fail on every table of the log."""
    with psycopg.connect(database.url_for(role), autocommit=True) as connection:
        for table in TABLES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change.format(table).encode())


@pytest.mark.parametrize("role", LOGINS)
def test_no_login_inserts_past_the_function(database: Database, role: str) -> None:
    """INSERT fails on every table of the log."""
    with psycopg.connect(database.url_for(role), autocommit=True) as connection:
        for table in TABLES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"INSERT INTO eventlog.{table} DEFAULT VALUES".encode())


@pytest.mark.parametrize("change", CHANGES)
def test_even_the_administrator_is_stopped_once(database: Database, change: str) -> None:
    """A slip of an administrator's hand on the event table is refused by the trigger."""
    with (
        psycopg.connect(database.owner_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(change.format("event").encode())


@pytest.mark.parametrize("service", READ_MODELS)
def test_read_models_are_private(database: Database, service: str) -> None:
    """A service uses its own schema and cannot even name tables in another's."""
    owner = f"motcua_{service}"
    with psycopg.connect(database.url_for(owner), autocommit=True) as connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {service}.probe (n int)".encode())
    for other in (name for name in LOGINS if name != owner):
        with (
            psycopg.connect(database.url_for(other), autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(f"SELECT * FROM {service}.probe".encode())


def test_relay_may_not_append(database: Database) -> None:
    """The relay publishes; it has no way to write events."""
    with (
        psycopg.connect(database.url_for("motcua_relay"), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT eventlog.settle(93, '{}', '{}', '{}', '{}', '{}', '{}')")


def test_keys_are_read_by_purpose(database: Database) -> None:
    """A contact key is opened for notify, refused to payment, and never read from the table."""
    key = new_data_key("contact")
    kiosk, notify = database.keys("motcua_kiosk_sync"), database.keys("motcua_notify")
    payment = database.keys("motcua_payment")
    kiosk.put(key.key_id, key.purpose, key.secret)
    kiosk.put(key.key_id, key.purpose, key.secret)
    assert notify.get(key.key_id) == ("contact", key.secret)
    with pytest.raises(Refused) as caught:
        payment.get(key.key_id)
    assert caught.value.code == "purpose_not_granted"
    with pytest.raises(Refused) as reused:
        kiosk.put(key.key_id, key.purpose, bytes(32))
    assert reused.value.code == "key_id_reused"
    for role in ("motcua_kiosk_sync", "motcua_notify"):
        with (
            psycopg.connect(database.keys_url_for(role), autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT * FROM keys.subject_key")
    for store in (kiosk, notify, payment):
        store.close()


@pytest.mark.parametrize(
    ("stream", "version"),
    [("payment-smuggled", 1), ("dossier-other", 1), ("dossier-own", 2), ("dossier-own", 0)],
)
def test_no_event_is_smuggled_in(database: Database, stream: str, version: int) -> None:
    """Asking for one stream and bringing an event of another, or of another version, is refused."""
    asked = request(("dossier-own", 0, 1))
    prepared = batch.Prepared.of(asked, LOG_ID)
    ((identifier, _, _, event, digest),) = prepared.events
    smuggled = batch.Prepared(asked, ((identifier, stream, version, event, digest),))
    with psycopg.connect(database.url_for("motcua_intake"), autocommit=True) as connection:
        arrays.register(connection)
        head = connection.execute("select pos from eventlog.log_head").fetchone()
        with connection.cursor() as cursor, pytest.raises(psycopg.Error) as caught:
            batch.append(cursor, LOG_ID, [smuggled])
        assert connection.execute("select pos from eventlog.log_head").fetchone() == head
    assert caught.value.sqlstate == "MC005"


def test_no_stream_is_put_back(database: Database) -> None:
    """Negative counts that add up to the number of events would lower another stream's head."""
    log = database.log("motcua_intake")
    log.append(request(("dossier-grown", 0, 2)))
    log.close()
    with psycopg.connect(database.url_for("motcua_intake"), autocommit=True) as connection:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(
                "SELECT eventlog.append(%s, '{test}', '{k}', '{x}', '{1}', '{1}',"
                " '{dossier-grown,dossier-new}', '{2,0}', '{-1,2}', ARRAY[gen_random_uuid()],"
                " '{dossier-new}', '{1}', '{dossier.ready}', '{1}', '{null}', '{1}', '{x}', '{x}',"
                " '{x}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
                (LOG_ID,),
            )
        head = connection.execute(
            "SELECT version FROM eventlog.stream_head WHERE stream = 'dossier-grown'"
        ).fetchone()
    assert (caught.value.sqlstate, head) == ("MC005", (2,))
