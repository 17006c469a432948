# SPDX-License-Identifier: Apache-2.0
"""``motcua verify``, ``motcua checkpoint``, ``motcua seal-key``: proofs about the log."""

import os
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from services.common.audit.export import export
from services.common.audit.sealer import origin_of
from services.common.audit.verify import verify_log
from services.common.config import Settings
from services.common.errors import Refused, Unavailable
from services.common.integrity.bundle import (
    BundleError,
    on_terminal,
    print_report,
    read_keys,
    verify_bundle,
)
from services.common.integrity.notes import NoteError, Signer

Key = Annotated[
    list[str],
    typer.Option("--key", help="Trusted key of the sealer, name+id+base64, or a file with it."),
]
Known = Annotated[
    list[Path] | None,
    typer.Option(help="Checkpoint kept elsewhere that the log has to contain."),
]


def verify(
    key: Key,
    *,
    bundle: Annotated[Path | None, typer.Option(help="Verify this bundle instead.")] = None,
    known: Known = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
) -> None:
    """Check every event, every seal and the tables beside the log (as audit).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID, or a bundle and neither. Exit code 0: nothing was
    changed; 1: something was, and where; 2: it could not be checked.
    """
    try:
        keys = read_keys(key)
        notes = [path.read_text(encoding="utf-8") for path in known or ()]
        if bundle is not None:
            report = verify_bundle(bundle, keys, known=notes, progress=on_terminal())
        else:
            url, log_id = _log()
            with psycopg.connect(url, connect_timeout=5) as connection:
                report = verify_log(connection, log_id, keys, known=notes, progress=on_terminal())
    except (NoteError, BundleError, OSError, UnicodeError) as error:
        raise Refused("cannot_verify", str(error), "không kiểm tra được") from error
    except psycopg.Error as error:
        raise Unavailable("postgresql", type(error).__name__) from error
    raise typer.Exit(print_report(report, as_json=as_json))


def checkpoint() -> None:
    """Print the newest checkpoint with its cosignatures; keep it where nobody of ours can write.

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID.
    """
    url, log_id = _log()
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(
                "SELECT c.note, coalesce(string_agg(s.line || E'\\n', '' ORDER BY s.witness), '')"
                " FROM eventlog.checkpoint AS c"
                " LEFT JOIN eventlog.cosignature AS s USING (log_id, size)"
                " WHERE c.log_id = %s GROUP BY c.size, c.note ORDER BY c.size DESC LIMIT 1",
                (log_id,),
            ).fetchone()
    except psycopg.Error as error:
        raise Unavailable("postgresql", type(error).__name__) from error
    if row is None:
        raise Refused("not_sealed", "nothing is sealed yet", "chưa có điểm niêm phong nào")
    typer.echo(f"{row[0]}{row[1]}", nl=False)


def seal_key() -> None:
    """Print the verifier key of MOTCUA_SEAL_KEY, for MOTCUA_LOG_ID and MOTCUA_LOG_EPOCH."""
    settings = Settings(os.environ)
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    epoch = settings.whole("MOTCUA_LOG_EPOCH", 1, low=1)
    seed = settings.key("MOTCUA_SEAL_KEY")
    settings.finish()
    typer.echo(str(Signer(origin_of(log_id, epoch), seed).verifier))


def export_command(
    folder: Annotated[Path, typer.Argument(help="Folder to be made for the bundle.")],
) -> None:
    """Write the log up to its newest checkpoint as a bundle (as audit).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID. The bundle holds its own verifier:
    ``python3 FOLDER/verify.pyz FOLDER --key …``.
    """
    url, log_id = _log()
    try:
        done = export(url, log_id, folder, progress=on_terminal())
    except OSError as error:
        raise Refused("cannot_write", str(error), "không ghi được") from error
    typer.echo(f"{done.folder}: {done.size} events in {done.files} files")


def _log() -> tuple[str, int]:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    return url, log_id
