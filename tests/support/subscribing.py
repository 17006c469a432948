# SPDX-License-Identifier: Apache-2.0
"""A broker, a log and the command line ``motcua subscriber`` over both."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError
from typer.testing import CliRunner

from infra.cli_subscriber import subscriber
from services.common.messaging import topology
from tests.support.broker import Broker
from tests.support.database import LOG_ID, Database
from tests.support.offices import SERVICE_KEY

SUBSCRIBER_KEY = bytes(range(1, 33))
WEBHOOK_KEY = bytes(range(5, 37))


@dataclass(frozen=True)
class Desk:
    """The command line with the settings it needs."""

    broker: Broker
    database: Database

    @property
    def environ(self) -> dict[str, str]:
        """What the command line reads."""
        return {
            "MOTCUA_DATABASE_URL": self.database.url_for("motcua_notify"),
            "MOTCUA_LOG_ID": str(LOG_ID),
            "MOTCUA_SERVICE_KEY": SERVICE_KEY.hex(),
            "MOTCUA_AMQP_URL": self.notify_url,
            "MOTCUA_AMQP_MANAGEMENT_URL": self.broker.management_url,
            "MOTCUA_SUBSCRIBER_KEY": SUBSCRIBER_KEY.hex(),
            "MOTCUA_WEBHOOK_KEY": WEBHOOK_KEY.hex(),
        }

    @property
    def notify_url(self) -> str:
        """Notify's own login to the broker."""
        return self.broker.url_for(f"{self.broker.vhost}_notify", "p-of-notify")

    def run(self, *words: str) -> dict[str, str]:
        """Run ``motcua subscriber``; returns what it printed as ``name=value``, the rest as ""."""
        with mock.patch.dict(os.environ, self.environ):
            done = CliRunner().invoke(subscriber, words, catch_exceptions=True)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        pairs = [line.partition("=") for line in done.output.splitlines()]
        return {name: value for name, _, value in pairs}

    def add(self, name: str, *types: str, more: tuple[str, ...] = ()) -> dict[str, str]:
        """Add a subscriber."""
        words = [word for one in types for word in ("--type", one)]
        return self.run("add", name, *words, "--by", "vh001", *more)


@contextmanager
def subscriber_desk(broker: Broker, database: Database) -> Iterator[Desk]:
    """Make the topology and notify's login; remove every login finally."""
    broker.declare()
    user = f"{broker.vhost}_notify"
    broker.api("PUT", f"/users/{user}", {"password": "p-of-notify", "tags": ""})
    broker.api("PUT", f"/permissions/{{v}}/{user}", topology.permissions("notify"))
    try:
        yield Desk(broker, database)
    finally:
        administrator = urlsplit(broker.url).username
        for one in broker.api("GET", "/vhosts/{v}/permissions"):
            if one["user"] != administrator:  # others' tests have users of their own meanwhile
                broker.api("DELETE", f"/users/{one['user']}")


def may(url: str, act: str, **words: object) -> bool:
    """Say whether the login of ``url`` may do ``act``."""
    try:
        connection = pika.BlockingConnection(pika.URLParameters(url))
    except AMQPError:
        return False
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        getattr(channel, act)(**words)
    except AMQPError:
        return False
    finally:
        if connection.is_open:
            connection.close()
    return True
