# SPDX-License-Identifier: Apache-2.0
"""``motcua verify``, ``motcua checkpoint``, ``motcua seal-key``: proofs about the log."""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from services.common.audit.sealer import origin_of
from services.common.audit.verify import Progress, verify_log
from services.common.config import Settings
from services.common.errors import Refused, Unavailable
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
_SHOWN: int = 50


def verify(
    key: Key,
    *,
    known: Known = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
) -> None:
    """Check every event, every seal and the tables beside the log (as audit).

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID. Exit code 0: nothing was changed; 1: something
    was, and where; 2: it could not be checked.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
    try:
        keys = read_keys(key)
        notes = [path.read_text(encoding="utf-8") for path in known or ()]
        with psycopg.connect(url, connect_timeout=5) as connection:
            report = verify_log(connection, log_id, keys, known=notes, progress=on_terminal())
    except (NoteError, OSError) as error:
        raise Refused("cannot_verify", str(error), "không kiểm tra được") from error
    except psycopg.Error as error:
        raise Unavailable("postgresql", type(error).__name__) from error
    say(report, as_json=as_json)


def checkpoint() -> None:
    """Print the newest checkpoint with its cosignatures; keep it where nobody of ours can write.

    Reads MOTCUA_DATABASE_URL and MOTCUA_LOG_ID.
    """
    settings = Settings(os.environ)
    url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    settings.finish()
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


def read_keys(words: Sequence[str]) -> list[VerifierKey]:
    """Return the keys named by text or file; raises NoteError, OSError."""
    texts = [
        line
        for word in words
        for line in (
            Path(word).read_text(encoding="utf-8").split() if Path(word).is_file() else [word]
        )
    ]
    return [VerifierKey.parse(text) for text in texts]


def say(report: Report, *, as_json: bool) -> None:
    """Print a report and leave with its exit code."""
    if as_json:
        found = [{"where": one.where, "what": one.what} for one in report.findings]
        said = {
            "good": report.good, "events": report.events, "sealed": report.sealed,
            "checkpoints": report.checkpoints, "root": report.root.hex(), "findings": found,
        }  # fmt: skip
        typer.echo(json.dumps(said, ensure_ascii=False, indent=1))
    else:
        for one in report.findings[:_SHOWN]:
            typer.echo(str(one))
        if len(report.findings) > _SHOWN:
            typer.echo(f"… and {len(report.findings) - _SHOWN} more")
        typer.echo(
            f"{report.events} events, {report.sealed} under {report.checkpoints} checkpoints,"
            f" root {report.root.hex()}: {'as written' if report.good else 'CHANGED'}"
        )
    raise typer.Exit(0 if report.good else 1)


def on_terminal() -> Progress:
    """Return a progress line with the time that is left, on a terminal only."""
    began = time.monotonic()

    def show(done: int, total: int) -> None:
        spent = time.monotonic() - began
        left = spent / done * (total - done) if done else 0
        sys.stderr.write(f"\r{done:,} of {total:,} events, {left:.0f} s left ")
        if done == total:
            sys.stderr.write("\n")
        sys.stderr.flush()

    return show if sys.stderr.isatty() else lambda _done, _total: None
