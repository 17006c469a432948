# SPDX-License-Identifier: Apache-2.0
"""Servers of a test run: given by ``python -m infra.local run``, never a default."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import Broker, fresh_broker
from tests.support.database import Database, fresh_database


def pytest_configure() -> None:
    """Keep temporary folders inside the clone, so that a test run leaves nothing elsewhere."""
    folder = Path(".local/tests").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: not item.path.match("tests/e2e/*.py"))


@pytest.fixture(scope="session")
def server_url() -> str:
    """Administrator's URL of the PostgreSQL server of this run."""
    return _given("MOTCUA_TEST_DATABASE_URL")


@pytest.fixture(scope="session")
def amqp_url() -> str:
    """Administrator's AMQP URL of the broker of this run."""
    return _given("MOTCUA_TEST_AMQP_URL")


@pytest.fixture(scope="session")
def management_url() -> str:
    """Management API of the broker of this run."""
    return _given("MOTCUA_TEST_AMQP_MANAGEMENT_URL")


@pytest.fixture(scope="module")
def database(server_url: str) -> Iterator[Database]:
    """A fresh migrated database for the module."""
    with fresh_database(server_url) as database:
        yield database


@pytest.fixture
def broker(amqp_url: str, management_url: str) -> Iterator[Broker]:
    """A fresh virtual host without exchanges or queues."""
    with fresh_broker(amqp_url, management_url) as broker:
        yield broker


def _given(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.fail(
            f"{name} is not set: run `make test`, or `python -m infra.local run -- pytest …`"
        )
    return value
