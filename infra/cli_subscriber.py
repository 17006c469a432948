# SPDX-License-Identifier: Apache-2.0
"""``motcua subscriber``: who receives events outside the platform (docs/subscribing.md)."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from infra.cli_webhook import webhook
from services.common.clock import SystemClock
from services.common.config import Settings
from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Recorder
from services.common.messaging import topology
from services.notify.adapters.broker_users import BrokerUsers
from services.notify.adapters.checkpoints import PostgresCheckpoints
from services.notify.adapters.subscriber_queues import SubscriberQueues
from services.notify.application.certificates import Certificates, certificate_signer
from services.notify.application.subscribers import (
    Subscribers,
    granted_types,
    order_subscriber,
    subscriber_of,
)
from services.notify.domain import credentials
from services.notify.domain.subscriber import (
    ALL,
    BROKER,
    TOKEN,
    WEBHOOK,
    Subscriber,
    refused,
)
from services.notify.domain.subscriber_commands import (
    Add,
    Command,
    Remove,
    Resume,
    Rotate,
    Suspend,
)

subscriber = typer.Typer(no_args_is_help=True, help="Systems outside that receive events.")
subscriber.add_typer(webhook, name="webhook")

Name = Annotated[str, typer.Argument(help="Its code, for example ioc.")]
By = Annotated[str, typer.Option(help="Official who does it; stands in the log.")]
Types = Annotated[
    list[str], typer.Option("--type", help="Event type, repeatable; dossier.* for all of a kind.")
]


@dataclass(frozen=True, slots=True)
class Desk:
    """What every command needs."""

    recorder: Recorder
    queues: SubscriberQueues
    users: BrokerUsers
    key: bytes
    amqp_url: str

    def order(self, name: str, command: Command, by: str) -> bool:
        """Carry out ``command``; say whether it changed anything."""
        done = order_subscriber(
            self.recorder, name, command, source="cli:subscriber", actor=f"official:{by}"
        )
        return done is not None

    def state(self, name: str) -> Subscriber:
        """Return the subscriber as the log knows it."""
        return subscriber_of(self.recorder.log, name)

    def present(self, name: str) -> Subscriber:
        """Return the subscriber; Refused when there is none."""
        state = self.state(name)
        if not state.present:
            raise refused(
                "subscriber_unknown", f"no subscriber {name}", f"không có bên đăng ký {name}",
                "name",
            )  # fmt: skip
        return state

    def login(self, state: Subscriber) -> str:
        """Make or renew its broker login, if it is not suspended; returns the password."""
        password = credentials.broker_password(self.key, state.name, state.generation(BROKER))
        if not state.open:
            return password
        queue = topology.subscriber_queue(state.name, state.types)
        self.users.ensure(queue.name, password, topology.subscriber_permissions(queue))
        return password

    def said(self, name: str, password: str) -> str:
        """Return the AMQP URL that a subscriber is given."""
        parts = urlsplit(self.amqp_url)
        scheme, host = parts.scheme, parts.netloc.rpartition("@")[2]
        return f"{scheme}://{topology.SUBSCRIBER}{name}:{password}@{host}{parts.path}"


@subscriber.command("add")
def add(
    name: Name,
    types: Types,
    by: By,
    *,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="It is owed the whole past, too.")
    ] = False,
) -> None:
    """Let a system receive events: login, queue, bindings, feed token. May be repeated.

    Prints its credentials once, at the first time. Again with other types: it gets those from now
    on. Needs an administrator's login to the broker in MOTCUA_AMQP_MANAGEMENT_URL.
    """
    with _opened() as desk:
        before = desk.state(name)
        token = credentials.token_of(os.urandom(credentials.TOKEN_BYTES))
        command = Add(
            name=name, types=granted_types(types),
            after=0 if from_start else desk.recorder.log.head(),
            token_digest=credentials.token_digest(token), by=by,
        )  # fmt: skip
        changed = desk.order(name, command, by)
        state = desk.state(name)
        desk.queues.ensure(name, state.types)
        password = desk.login(state)
        if before.present:
            typer.echo(f"{name}: {'granted' if changed else 'as before'}, {len(state.types)} types")
            return
        typer.echo(f"amqp_url={desk.said(name, password)}")
        typer.echo(f"queue={topology.SUBSCRIBER}{name}")
        typer.echo(f"token={token}")
        typer.echo(f"types={','.join(state.types)}")


@subscriber.command("list")
def list_command() -> None:
    """List subscribers: name, standing, types, owed from, webhook, one a line."""
    with _opened() as desk:
        known = Subscribers(desk.recorder.log, SystemClock()).all()
        for name, one in sorted(known.items()):
            standing = ",".join(sorted(one.suspended)) or "open"
            words = (name, standing, str(len(one.types)), str(one.grants[-1].after), one.url or "-")
            typer.echo("\t".join(words))


@subscriber.command("show")
def show(name: Name) -> None:
    """Show one subscriber: standing, types, generations of its credentials."""
    with _opened() as desk:
        one = desk.present(name)
        typer.echo(f"standing={','.join(sorted(one.suspended)) or 'open'}")
        typer.echo(f"types={','.join(one.types)}")
        for credential in (TOKEN, BROKER, WEBHOOK):
            typer.echo(f"{credential}_generation={one.generation(credential)}")
        typer.echo(f"webhook={one.url or ''}")
        typer.echo(f"webhook_confirmed={one.confirmed}")


@subscriber.command("rotate")
def rotate(
    name: Name,
    credential: Annotated[str, typer.Argument(help="token or broker.")],
    by: By,
) -> None:
    """Make a credential anew and print it; the one before ends at once.

    A suspended subscriber's is good from ``resume`` on. A webhook's secret:
    ``motcua subscriber webhook rotate``.
    """
    if credential not in {TOKEN, BROKER}:
        raise typer.BadParameter("token or broker", param_hint="credential")
    with _opened() as desk:
        desk.present(name)
        token = credentials.token_of(os.urandom(credentials.TOKEN_BYTES))
        command = Rotate(
            credential=credential, by=by, until=None,
            token_digest=credentials.token_digest(token) if credential == TOKEN else None,
        )  # fmt: skip
        desk.order(name, command, by)
        state = desk.state(name)
        if credential == TOKEN:
            typer.echo(f"token={token}")
            return
        password = desk.login(state)
        desk.users.disconnect(topology.SUBSCRIBER + name)
        typer.echo(f"amqp_url={desk.said(name, password)}")


@subscriber.command("suspend")
def suspend(name: Name, by: By) -> None:
    """Give it nothing for the time being; what it is owed grows meanwhile."""
    with _opened() as desk:
        command = Suspend(scope=ALL, reason="by_hand", position=None, by=by)
        changed = desk.order(name, command, by)
        desk.users.remove(topology.SUBSCRIBER + name)
        typer.echo(f"{name}: {'suspended' if changed else 'as before'}")


@subscriber.command("resume")
def resume(name: Name, by: By) -> None:
    """Go on where it stopped, with the same credentials."""
    with _opened() as desk:
        changed = desk.order(name, Resume(scope=ALL, by=by), by)
        state = desk.present(name)
        desk.login(state)
        typer.echo(f"{name}: {'resumed' if changed else 'as before'}")


@subscriber.command("restore")
def restore() -> None:
    """Make the logins and queues of all subscribers again, as they were: the broker lost them."""
    with _opened() as desk:
        known = Subscribers(desk.recorder.log, SystemClock()).all()
        for name, one in sorted(known.items()):
            desk.queues.ensure(name, one.types)
            desk.login(one)
            typer.echo(name)


@subscriber.command("remove")
def remove(name: Name, by: By) -> None:
    """Take login, queue and token away; what was recorded stays. May be repeated."""
    with _opened() as desk:
        changed = desk.order(name, Remove(by=by), by)
        desk.users.remove(topology.SUBSCRIBER + name)
        desk.queues.remove(name)
        typer.echo(f"{name}: {'removed' if changed else 'as before'}")


@subscriber.command("certificate")
def certificate(
    name: Name, day: Annotated[str, typer.Argument(help="A day in Vietnam: 2026-11-27.")]
) -> None:
    """Print the certificate of completeness of a day that is over (as feed)."""
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    seed = settings.key("MOTCUA_CERTIFICATE_KEY")
    settings.finish()
    try:
        wanted = date.fromisoformat(day)
    except ValueError as error:
        raise typer.BadParameter("a day like 2026-11-27", param_hint="day") from error
    with closing(PostgresLog(url, log_id)) as log, closing(PostgresCheckpoints(url, log_id)) as c:
        signer = certificate_signer(log_id, seed)
        certificates = Certificates(log, c, SystemClock(), signer)
        typer.echo(str(certificates.of_day(subscriber_of(log, name), wanted)), nl=False)


@subscriber.command("certificate-key")
def certificate_key() -> None:
    """Print the key that subscribers check certificates with."""
    settings = Settings(os.environ)
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    seed = settings.key("MOTCUA_CERTIFICATE_KEY")
    settings.finish()
    typer.echo(str(certificate_signer(log_id, seed).verifier))


@contextmanager
def _opened() -> Iterator[Desk]:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    service_key = settings.key("MOTCUA_SERVICE_KEY")
    amqp_url = settings.url("MOTCUA_AMQP_URL", ("amqp", "amqps"))
    management = settings.url("MOTCUA_AMQP_MANAGEMENT_URL", ("http", "https"))
    key = settings.key("MOTCUA_SUBSCRIBER_KEY")
    settings.finish()
    log = PostgresLog(url, log_id)
    # No event of a subscriber has a personal field, so no data key is ever stored.
    recorder = Recorder(log, MemoryKeys(), SystemClock(), service_key)
    vhost = unquote(urlsplit(amqp_url).path.removeprefix("/")) or "/"
    try:
        yield Desk(
            recorder, SubscriberQueues(amqp_url), BrokerUsers(management, vhost), key, amqp_url
        )
    finally:
        log.close()
