# SPDX-License-Identifier: Apache-2.0
"""``motcua questions``: what auditors ask a bundle, with DuckDB."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from infra.cli_query import AsForm, Form, say_rows
from services.common.errors import Refused
from services.common.integrity.bundle import BundleError


def questions_command(
    bundle: Annotated[Path | None, typer.Argument(help="Folder of the bundle.")] = None,
    names: Annotated[list[str] | None, typer.Argument(help="Questions by name.")] = None,
    *,
    show: Annotated[bool, typer.Option("--list", help="List the questions.")] = False,
    sql: Annotated[str, typer.Option(help="A question of one's own, over the views.")] = "",
    database: Annotated[
        Path | None, typer.Option(help="Make a DuckDB file that holds the views.")
    ] = None,
    form: AsForm = Form.TABLE,
) -> None:
    """Answer questions of auditors from a bundle; verify the bundle first.

    Views: event, dossier, log_end. ``motcua questions --list`` tells the names;
    docs/questions.md shows each with its SQL and output. Needs no server and no key.
    """
    try:
        from infra import questions as asking  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise Refused(
            "no_duckdb", "questions need duckdb (extra audit)", "cần cài duckdb (gói audit)"
        ) from error
    known = asking.questions()
    if show or bundle is None:
        say_rows(("name", "vi", "en"), [(q.name, q.vi, q.en) for q in known.values()], form)
        return
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise Refused("no_such_question", f"no question {unknown[0]}", f"không có {unknown[0]}")
    if database is not None and database.exists():
        raise Refused("file_exists", f"{database} exists", f"{database} đã có")
    try:
        opened = asking.open_bundle(bundle, str(database or ":memory:"))
    except BundleError as error:
        raise Refused("no_bundle", str(error), "không phải gói dữ liệu") from error
    with closing(opened) as connection:
        asked = [known[name].sql for name in names or ()] + ([sql] if sql else [])
        for one in asked:
            say_rows(*asking.ask(connection, one), form)
    if not asked and database is None:
        raise Refused("no_question", "name a question or give --sql", "chưa nêu câu hỏi")
