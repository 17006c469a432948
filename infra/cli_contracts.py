# SPDX-License-Identifier: Apache-2.0
"""``motcua contracts``: the published language of events, printed, checked and released."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.common import contracts as registry
from services.common.contracts import evolution
from services.common.contracts.json_schema import schema_of

contracts = typer.Typer(no_args_is_help=True, help="Events: their schemas and what was promised.")


@contracts.command("schema")
def schema_command(
    name: Annotated[str, typer.Argument(help="For example dossier.accepted.v1.")],
) -> None:
    """Print the JSON Schema of one version of an event."""
    known = {contract.wire_name: contract for contract in registry.all_contracts()}
    if name not in known:
        typer.echo(f"no contract {name} / không có hợp đồng {name}", err=True)
        sys.exit(2)
    typer.echo(json.dumps(schema_of(known[name]), ensure_ascii=False, indent=2))


@contracts.command("schemas")
def schemas(
    folder: Annotated[Path, typer.Option(help="Where the files go.")] = Path("build/schemas"),
) -> None:
    """Write the JSON Schema of every version of every event, a file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for contract in registry.all_contracts():
        text = json.dumps(schema_of(contract), ensure_ascii=False, indent=2) + "\n"
        (folder / f"{contract.wire_name}.json").write_text(text, encoding="utf-8")
    typer.echo(f"{len(registry.all_contracts())} schemas in {folder}")


@contracts.command("check")
def check() -> None:
    """Say what breaks a promise to subscribers; exit code 1 if anything does."""
    _stop_at(evolution.broken())
    typer.echo(f"{len(evolution.released())} released versions, nothing broken")


@contracts.command("release")
def release(
    reworded: Annotated[
        list[str] | None, typer.Option(help="Event whose texts say the same in better words.")
    ] = None,
) -> None:
    """Record the contracts as published, if they break no promise."""
    before, now = evolution.released(), evolution.spoken()
    _stop_at(evolution.broken(reworded=frozenset(reworded or ())))
    evolution.FILE.write_text(evolution.released_text(now), encoding="utf-8")
    typer.echo(f"{len(now)} versions released, {len(now.keys() - before.keys())} of them new")


def _stop_at(breaks: list[evolution.Break]) -> None:
    for one in breaks:
        typer.echo(str(one), err=True)
    if breaks:
        sys.exit(1)
