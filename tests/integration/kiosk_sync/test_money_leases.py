# SPDX-License-Identifier: Apache-2.0
"""How far sealing is behind, read with the service's own login from the real tables."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from services.common.audit.sealing import Sealing, Seals
from services.common.clock import SystemClock
from services.common.errors import Unavailable
from services.common.integrity.notes import Signer
from services.kiosk_sync.adapters.seals import PostgresSeals
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, request
from tests.support.offices import HandClock

ORIGIN = f"motcua247/{LOG_ID}/1"


@pytest.fixture
def pool(database: Database) -> Iterator[ConnectionPool]:
    with ConnectionPool(database.url_for("motcua_kiosk_sync"), min_size=1, timeout=5) as pool:
        yield pool


def test_the_oldest_unsealed_event_counts(database: Database, pool: ConnectionPool) -> None:
    """Nothing open is no lag; what is open gets older with the clock until it is sealed."""
    clock = HandClock(SystemClock().now())
    seals = PostgresSeals(pool, LOG_ID, clock)
    assert seals.lag_s() == 0
    with (
        closing(database.log()) as log,
        psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection,
    ):
        sealing = Sealing(
            connection,
            Seals(log_id=LOG_ID, origin=ORIGIN, signer=Signer(ORIGIN, bytes(range(32)))),
        )
        log.append(request((fresh(), 0, 3)))
        clock.at = SystemClock().now() + timedelta(seconds=90)
        assert seals.lag_s() >= 90
        sealing.step(1)
        assert seals.lag_s() == 0
        first = log.append(request((fresh(), 0, 2))).first_position
        log.append(request((fresh(), 0, 1)))
        recorded = log.read_positions([first])[0].recorded_at
        clock.at = recorded + timedelta(seconds=100)
        assert seals.lag_s() == 100


def test_a_database_that_is_down_is_unavailable() -> None:
    """Neither late nor in time: nobody knows."""
    url = "postgresql://nobody@127.0.0.1:1/none"
    with ConnectionPool(url, min_size=0, max_size=1, timeout=0.2, open=True) as pool:
        seals = PostgresSeals(pool, LOG_ID, SystemClock())
        with pytest.raises(Unavailable):
            seals.lag_s()
