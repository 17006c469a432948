# SPDX-License-Identifier: Apache-2.0
"""The command line: ``motcua``."""

import json
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import psycopg
import typer

from infra import cli_backup, cli_query, cli_upkeep, cli_verify
from infra.cli_archive import archive_command
from infra.cli_contracts import contracts
from infra.cli_detach import attach_command, detach_command
from infra.cli_epoch import epoch
from infra.cli_generate import generate_command
from infra.cli_questions import questions_command
from infra.cli_queues import queues
from infra.cli_replay import replay_command
from infra.cli_retention import retention
from infra.cli_subject import subject
from infra.cli_subscriber import subscriber
from services.common.clock import SystemClock
from services.common.config import ConfigError, Settings
from services.common.errors import MotCuaError, Unavailable
from services.common.eventlog.keys import PostgresKeys
from services.common.eventlog.migrate import LOGINS, migrate
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Cause, Recorder
from services.intake.seed.load import seed
from services.kiosk_sync.application.commands import order_machine
from services.kiosk_sync.domain.machine import EnrolMachine, RevokeMachine
from services.notify.application.queries import unknown_outcomes

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
kiosk = typer.Typer(no_args_is_help=True, help="Machines: who may speak.")
app.add_typer(kiosk, name="kiosk")
app.add_typer(subject, name="subject")
app.add_typer(contracts, name="contracts")
app.add_typer(queues, name="queues")
app.add_typer(subscriber, name="subscriber")
app.command("verify")(cli_verify.verify)
app.command("query")(cli_query.query)
app.command("state-at")(cli_query.state_at)
app.command("diff")(cli_query.diff)
app.command("tail")(cli_query.tail)
app.command("export")(cli_verify.export_command)
app.command("columns")(cli_verify.columns)
app.command("questions")(questions_command)
app.command("checkpoint")(cli_verify.checkpoint)
app.command("seal-key")(cli_verify.seal_key)
app.command("rebuild")(cli_upkeep.rebuild)
app.add_typer(cli_backup.backup, name="backup")
app.command("restore")(cli_backup.restore_command)
app.add_typer(epoch, name="epoch")
app.command("archive")(archive_command)
app.command("detach")(detach_command)
app.command("attach")(attach_command)
app.command("retention")(retention)
app.command("restore-drill")(cli_backup.restore_drill)
app.command("generate")(generate_command)
app.command("replay")(replay_command)
messages = typer.Typer(no_args_is_help=True, help="Messages: what became of them.")
app.add_typer(messages, name="messages")

Serial = Annotated[str, typer.Argument(help="Machine serial, for example VT01.")]
By = Annotated[str, typer.Option(help="Who decides; stands in the log.")]


@app.command("migrate")
def migrate_command() -> None:
    """Bring both databases to the newest schema.

    Reads MOTCUA_ADMIN_URL, MOTCUA_KEYS_ADMIN_URL, MOTCUA_LOG_ID and MOTCUA_ROLE_PASSWORDS_FILE
    (JSON: role to password).
    """
    settings = Settings(os.environ)
    admin = settings.url("MOTCUA_ADMIN_URL", ("postgresql", "postgres"))
    keys = settings.url("MOTCUA_KEYS_ADMIN_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    path = settings.path("MOTCUA_ROLE_PASSWORDS_FILE")
    _finish(settings)
    try:
        passwords: Mapping[str, str] = json.loads(Path(path).read_text(encoding="utf-8"))
        missing = sorted(set(LOGINS) - set(passwords))
    except (OSError, ValueError, TypeError) as error:
        _stop(f"MOTCUA_ROLE_PASSWORDS_FILE: {error}")
    if missing:
        _stop(f"MOTCUA_ROLE_PASSWORDS_FILE: no password for {', '.join(missing)}")
    versions = migrate(admin, keys, passwords, log_id)
    typer.echo(f"log schema {versions[0]}, key schema {versions[1]}")


@app.command("seed")
def seed_command() -> None:
    """Publish the first procedures and open the first office (as intake)."""
    recorder = _recorder()
    typer.echo(f"{seed(recorder)} new events")


@kiosk.command("enrol")
def enrol(
    serial: Serial,
    tls_fingerprint: Annotated[str, typer.Option(help="SHA-256 of its certificate, hex.")],
    sign_key: Annotated[str, typer.Option(help="Ed25519 public key, hex.")],
    by: By,
    *,
    epoch: Annotated[int, typer.Option(min=1, max=10_000)] = 1,
    office: Annotated[str, typer.Option(help="Office the machine stands at.")] = "VT",
) -> None:
    """Let a machine speak under its next epoch (as kiosk_sync)."""
    command = EnrolMachine(
        serial=serial, epoch=epoch, office=office, tls_fingerprint=tls_fingerprint,
        sign_key=sign_key, approved_by=by,
    )  # fmt: skip
    cause = Cause(correlation_id=str(uuid.uuid4()), actor=f"official:{by}")
    order_machine(
        _recorder(), serial, command, source="cli:enrol", key=f"{serial}/{epoch}", cause=cause
    )
    typer.echo(f"{serial} may speak under epoch {epoch}")


@kiosk.command("revoke")
def revoke(serial: Serial, reason: Annotated[str, typer.Option()], by: By) -> None:
    """Take a machine's right away, at once."""
    key, cause = str(uuid.uuid4()), Cause(correlation_id=str(uuid.uuid4()), actor=f"official:{by}")
    command = RevokeMachine(reason=reason, by=by)
    order_machine(_recorder(), serial, command, source="cli:revoke", key=key, cause=cause)
    typer.echo(f"{serial} may not speak any more")


@messages.callback()
def messages_group() -> None:
    """Messages: what became of them."""


@messages.command("unknown")
def unknown(
    office: Annotated[str, typer.Option(help="Only this office's, for example VT.")] = "",
) -> None:
    """List messages of which nobody knows whether they went out, most urgent first (as notify).

    Reads MOTCUA_DATABASE_URL. One line each: due time, office, template, dossier, its code.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    _finish(settings)
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            found = unknown_outcomes(connection, office=office)
    except psycopg.Error as error:
        raise Unavailable("postgresql", type(error).__name__) from error
    for one in found:
        words = (one.due_at or "at once", one.owner, one.template, one.dossier, one.code)
        typer.echo("\t".join(words))


def main() -> None:
    """Run the command line; errors are one line each, exit code 2."""
    try:
        app()
    except (MotCuaError, ConfigError) as error:
        _stop(str(error))


def _recorder() -> Recorder:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    keys = settings.url("MOTCUA_KEYS_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    service_key, kek = settings.key("MOTCUA_SERVICE_KEY"), settings.key("MOTCUA_KEK")
    _finish(settings)
    return Recorder(PostgresLog(url, log_id), PostgresKeys(keys, kek), SystemClock(), service_key)


def _finish(settings: Settings) -> None:
    try:
        settings.finish()
    except ConfigError as error:
        _stop(str(error))


def _stop(message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
