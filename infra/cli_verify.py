# SPDX-License-Identifier: Apache-2.0
"""``motcua verify|export|columns|checkpoint|seal-key``: proofs about the log."""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import psycopg
import typer

from infra.cli_query import Archived
from services.common.audit.bundling import parquet_writer
from services.common.audit.cosigning import read_witnesses
from services.common.audit.export import export
from services.common.audit.outside import seen_by
from services.common.audit.seals import origin_of
from services.common.audit.verify import verify_log
from services.common.config import Settings
from services.common.errors import Refused, Unavailable
from services.common.integrity.bundle import (
    BundleError,
    has_copy,
    on_terminal,
    print_report,
    read_keys,
    read_manifest,
    verify_bundle,
)
from services.common.integrity.checker import Report
from services.common.integrity.notes import NoteError, Signer, VerifierKey

Key = Annotated[
    list[str],
    typer.Option("--key", help="Trusted key of the sealer, name+id+base64, or a file with it."),
]
Known = Annotated[
    list[Path] | None,
    typer.Option(help="Checkpoint kept elsewhere that the log has to contain."),
]

Asked = Annotated[
    list[str] | None,
    typer.Option("--witness", help="'<url> <verifier key>': what it cosigned has to be there."),
]


def verify(
    key: Key,
    *,
    bundle: Annotated[Path | None, typer.Option(help="Verify this bundle instead.")] = None,
    known: Known = None,
    witness: Asked = None,
    archive: Archived = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
) -> None:
    """Check every event, every seal and the tables beside the log (as audit).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID, or a bundle and neither; a bundle's Parquet copy is
    compared with its events. Exit code 0: nothing was changed; 1: something was, and where; 2: it
    could not be checked.
    """
    try:
        keys = read_keys(key)
        notes = [path.read_text(encoding="utf-8") for path in known or ()]
        notes += [note for one in witness or () for note in notes_of(one, keys)]
        if bundle is not None:
            report = verify_bundle(bundle, keys, known=notes, progress=on_terminal())
            _add_copy(report, bundle)
        else:
            url, log_id = _log()
            with psycopg.connect(url, connect_timeout=5) as connection:
                report = verify_log(
                    connection, log_id, keys, known=notes, archive=archive, progress=on_terminal()
                )
    except (NoteError, BundleError, OSError, UnicodeError) as error:
        raise Refused("cannot_verify", str(error), "không kiểm tra được") from error
    except psycopg.Error as error:
        raise Unavailable("postgresql", type(error).__name__) from error
    raise typer.Exit(print_report(report, as_json=as_json))


def columns(
    check: Annotated[Path, typer.Option(help="Bundle whose Parquet copy is to be compared.")],
) -> None:
    """Compare each row of a bundle's Parquet copy with the event it copies, hashes included.

    Needs neither keys nor a database; that the events are the sealed log is for ``verify`` to say.
    Exit code 0: the same; 1: not the same, with file, row and column; 2: it could not be compared.
    """
    try:
        report = _copies().compare(check, progress=on_terminal())
    except (BundleError, OSError) as error:
        raise Refused("cannot_compare", str(error), "không so sánh được") from error
    for one in report.findings:
        typer.echo(str(one))
    typer.echo(f"{report.events} rows: {'the events' if report.good else 'NOT THE EVENTS'}")
    raise typer.Exit(0 if report.good else 1)


def _add_copy(report: Report, folder: Path) -> None:
    """Add what is wrong with the Parquet copy, where there is one."""
    if not has_copy(read_manifest(folder)):
        return
    said = set(report.findings)
    for one in _copies().compare(folder).findings:
        if one not in said:
            report.add(one.where, one.what)


def _copies() -> ModuleType:
    """Return what compares; Refused (``no_pyarrow``) where Parquet cannot be read."""
    parquet_writer()
    return import_module("services.common.audit.copies")


def notes_of(place: str, keys: Sequence[VerifierKey]) -> list[str]:
    """Return what a witness has of the logs that ``keys`` name; raises NoteError, OSError."""
    origins = sorted({key.name for key in keys})
    return [note for at in read_witnesses(place) for _, note in seen_by(at, origins, keys)]


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


def seal_key(
    *, epoch: Annotated[int, typer.Option(min=1, help="Under its name in this epoch.")] = 1
) -> None:
    """Print the verifier key of MOTCUA_SEAL_KEY, for MOTCUA_LOG_ID."""
    settings = Settings(os.environ)
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    seed = settings.key("MOTCUA_SEAL_KEY")
    settings.finish()
    typer.echo(str(Signer(origin_of(log_id, epoch), seed).verifier))


def export_command(
    folder: Annotated[Path, typer.Argument(help="Folder to be made for the bundle.")],
    *,
    parquet: Annotated[bool, typer.Option("--parquet", help="Add a Parquet copy.")] = False,
    archive: Archived = None,
) -> None:
    """Write the log up to its newest checkpoint as a bundle (as audit).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID. The bundle holds its own verifier:
    ``python3 FOLDER/verify.pyz FOLDER --key …``. The Parquet copy is for DuckDB and the like;
    ``motcua columns --check FOLDER`` compares it with the events.
    """
    url, log_id = _log()
    try:
        done = export(url, log_id, folder, columns=parquet, archive=archive, progress=on_terminal())
    except OSError as error:
        raise Refused("cannot_write", str(error), "không ghi được") from error
    typer.echo(f"{done.folder}: {done.size} events in {done.files} files")


def _log() -> tuple[str, int]:
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    return url, log_id
