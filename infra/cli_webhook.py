# SPDX-License-Identifier: Apache-2.0
"""``motcua subscriber webhook``: where events are sent to, and what became of it.

Needs notify's login to the log, and for secrets ``MOTCUA_WEBHOOK_KEY`` (docs/subscribing.md).
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

import psycopg
import typer

from services.common.clock import VIETNAM, SystemClock
from services.common.config import Settings
from services.common.errors import Unavailable
from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Recorder
from services.notify.adapters.webhook_ledger import deliveries_of, progress_of, retry_at
from services.notify.application.subscribers import (
    Subscribers,
    granted_types,
    order_subscriber,
    subscriber_of,
)
from services.notify.config import Network, read_networks
from services.notify.domain import credentials
from services.notify.domain.address import AddressRule
from services.notify.domain.subscriber import WEBHOOK, Subscriber, refused
from services.notify.domain.subscriber_commands import (
    Command,
    OrderRedrive,
    Resume,
    Rotate,
    SetWebhook,
    Suspend,
)
from services.notify.domain.webhook import Progress, begin

webhook = typer.Typer(no_args_is_help=True, help="Events sent to a subscriber's own address.")

OVERLAP_H: Final = 24
COUNTED_MAX: Final = 10_000
Name = Annotated[str, typer.Argument(help="Code of the subscriber, for example ioc.")]
By = Annotated[str, typer.Option(help="Official who does it; stands in the log.")]


@dataclass(frozen=True, slots=True)
class Desk:
    """What every command needs; ``key`` and ``networks`` only those about secrets and addresses."""

    recorder: Recorder
    log: PostgresLog
    url: str
    log_id: int
    key: bytes
    networks: tuple[Network, ...]

    def order(self, name: str, command: Command, by: str) -> bool:
        """Carry out ``command``; say whether it changed anything."""
        done = order_subscriber(
            self.recorder, name, command, source="cli:webhook", actor=f"official:{by}"
        )
        return done is not None

    def state(self, name: str) -> Subscriber:
        """Return a subscriber that has a webhook; Refused where it has none."""
        one = subscriber_of(self.log, name)
        if one.url is None:
            raise refused("webhook_missing", f"{name} has no webhook", f"{name} không có webhook",
                          "name")  # fmt: skip
        return one

    def say_secret(self, name: str) -> None:
        """Print the secret in force."""
        generation = subscriber_of(self.log, name).generation(WEBHOOK)
        secret = credentials.webhook_secret(self.key, name, generation)
        typer.echo(f"webhook_secret={credentials.shown_secret(secret)}")

    def progress(self) -> dict[str, Progress]:
        """Return what the sender stored."""
        with closing(psycopg.connect(self.url, connect_timeout=10)) as connection:
            return progress_of(connection, self.log_id)


@webhook.command("add")
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="https://… on port 443 of a public host.")],
    by: By,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only these of the granted types.")
    ] = None,
) -> None:
    """Send a subscriber's events to ``url`` from now on; again: another address or other types.

    Prints the secret once, when there was no webhook before. Past events come by ``redrive``.
    """
    with _opened(secrets=True) as desk:
        AddressRule(desk.networks).check(url)
        before = subscriber_of(desk.log, name)
        chosen = granted_types(types) if types else None
        changed = desk.order(name, SetWebhook(url=url, types=chosen, by=by), by)
        if before.url is not None:
            stopped = "" if before.sends else "; suspended still: webhook resume"
            typer.echo(f"{name}: {'set' if changed else 'as before'}{stopped}")
            return
        if before.filters:  # it had one in former times: whoever knew that secret knows nothing now
            desk.order(name, Rotate(credential=WEBHOOK, token_digest=None, until=None, by=by), by)
        desk.say_secret(name)


@webhook.command("remove")
def remove(name: Name, by: By) -> None:
    """Send nothing any more; queue and feed stay. May be repeated."""
    with _opened() as desk:
        changed = desk.order(name, SetWebhook(url=None, by=by), by)
        typer.echo(f"{name}: {'removed' if changed else 'as before'}")


@webhook.command("rotate")
def rotate(
    name: Name,
    by: By,
    *,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="The secret before ends now: it leaked.")
    ] = False,
) -> None:
    """Make the secret anew and print it; the one before signs beside it for 24 hours."""
    with _opened(secrets=True) as desk:
        desk.state(name)
        until = SystemClock().now() + timedelta(hours=OVERLAP_H)
        command = Rotate(
            credential=WEBHOOK, token_digest=None, by=by,
            until=None if at_once else until.isoformat(timespec="seconds"),
        )  # fmt: skip
        desk.order(name, command, by)
        desk.say_secret(name)


@webhook.command("suspend")
def suspend(name: Name, by: By) -> None:
    """Send nothing for the time being; queue and feed stay open."""
    with _opened() as desk:
        desk.state(name)
        command = Suspend(scope=WEBHOOK, reason="by_hand", position=None, by=by)
        changed = desk.order(name, command, by)
        typer.echo(f"{name}: {'suspended' if changed else 'as before'}")


@webhook.command("resume")
def resume(name: Name, by: By) -> None:
    """Go on with the event that it stopped at; patience counts anew."""
    with _opened() as desk:
        desk.state(name)
        changed = desk.order(name, Resume(scope=WEBHOOK, by=by), by)
        typer.echo(f"{name}: {'resumed' if changed else 'as before'}")


@webhook.command("redrive")
def redrive(
    name: Name,
    first: Annotated[int, typer.Argument(help="Position of the first event.")],
    by: By,
    reference: Annotated[str, typer.Option(help="Letter or ticket that asks for it.")],
    last: Annotated[
        int | None, typer.Argument(help="Position of the last one; without it one event.")
    ] = None,
    *,
    until_now: Annotated[
        bool, typer.Option("--until-now", help="All from the first position on.")
    ] = False,
) -> None:
    """Send a range once more, at most 100,000 positions, before what is new.

    An inbox that has them already lets them have no effect.
    """
    with _opened() as desk:
        head = desk.log.head()
        end = head if until_now else last or first
        order = OrderRedrive(first=first, last=end, head=head, reference=reference, by=by)
        desk.order(name, order, by)
        typer.echo(f"{name}: {first} … {end} will be sent once more")


@webhook.command("deliveries")
def deliveries(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only what was not taken.")] = False,
) -> None:
    """Show attempts of the last 30 days: when, position, event, attempt, answer, milliseconds."""
    with _opened() as desk, closing(psycopg.connect(desk.url, connect_timeout=10)) as connection:
        rows = deliveries_of(connection, desk.log_id, name, limit, failed=failed)
    for at, position, event, attempt, outcome, status, latency_ms, again in rows:
        when = at.astimezone(VIETNAM).isoformat(timespec="milliseconds")
        answer = outcome if status is None else str(status)
        words = (when, position, event, attempt, answer, latency_ms, "redriven" if again else "-")
        typer.echo("\t".join(map(str, words)))


@webhook.command("list")
def list_command(
    *,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those that stopped by themselves.")
    ] = False,
) -> None:
    """List webhooks: name, standing, event it hangs at, tries, next try, sent up to, still owed.

    ``--waiting`` is the worklist: each line waits for a person.
    """
    with _opened() as desk:
        stored = desk.progress()
        view = Subscribers(desk.log, SystemClock()).look()
        for name, one in sorted(view.known.items()):
            if one.url is None or (waiting and not one.stopped_itself):
                continue
            progress = begin(stored.get(name), one)
            typer.echo("\t".join((name, *_standing(one, progress), _owed(desk, one, progress))))


def _standing(one: Subscriber, progress: Progress) -> tuple[str, ...]:
    stop, trouble, through = one.suspended.get(WEBHOOK), progress.trouble, str(progress.through)
    if stop is not None:
        return f"suspended:{stop.reason}", str(stop.position or "-"), "-", "-", through
    when = retry_at(progress)
    if trouble is None or when is None:
        return "open" if one.sends else "suspended:all", "-", "-", "-", through
    shown = when.astimezone(VIETNAM).isoformat(timespec="seconds")
    return "trying", str(trouble.position), str(trouble.attempts), shown, through


def _owed(desk: Desk, one: Subscriber, progress: Progress) -> str:
    count = 0
    for after, through, types in one.posted(progress.through, desk.log.head()):
        count += len(desk.log.read_ids(after, through=through, types=types, limit=COUNTED_MAX))
        if count >= COUNTED_MAX:
            return f"{COUNTED_MAX}+"
    return str(count)


@contextmanager
def _opened(*, secrets: bool = False) -> Iterator[Desk]:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    service_key = settings.key("MOTCUA_SERVICE_KEY")
    key = settings.key("MOTCUA_WEBHOOK_KEY") if secrets else b""
    networks = read_networks(settings)
    settings.finish()
    with closing(PostgresLog(url, log_id)) as log:
        # No event of a subscriber has a personal field, so no data key is ever stored.
        recorder = Recorder(log, MemoryKeys(), SystemClock(), service_key)
        try:
            yield Desk(recorder, log, url, log_id, key, networks)
        except psycopg.Error as error:
            raise Unavailable("postgresql", type(error).__name__) from error
