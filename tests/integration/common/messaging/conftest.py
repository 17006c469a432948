# SPDX-License-Identifier: Apache-2.0
"""A virtual host for each test."""

from collections.abc import Iterator

import pytest

from tests.support.broker import Broker, fresh_broker


@pytest.fixture
def broker(amqp_url: str, management_url: str) -> Iterator[Broker]:
    """A fresh virtual host without exchanges or queues."""
    with fresh_broker(amqp_url, management_url) as broker:
        yield broker
