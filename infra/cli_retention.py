# SPDX-License-Identifier: Apache-2.0
"""``motcua retention``: what was kept long enough goes."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from infra.cli_subject import opened
from infra.retention import due_at, read_rules
from services.common.audit.subjects import Erase, erase
from services.common.clock import SystemClock
from services.common.errors import Refused


def retention(
    *,
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Erase, or only say what is due.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who runs it; stands in the log.")] = "retention",
    rules_file: Annotated[
        Path | None, typer.Option("--rules", help="Periods by purpose, instead of ours (JSON).")
    ] = None,
) -> None:
    """Erase personal data whose purpose is over: closed dossiers, purpose by purpose (as eraser).

    Reads what `motcua subject` reads. Each erasure is a subject.erased with the rule's reference;
    a run that broke off is begun anew. Data that money or a custody case still needs are kept.
    """
    try:
        rules = read_rules(rules_file)
    except OSError as error:
        raise Refused("no_rules", str(error), "không đọc được quy tắc", field="rules") from error
    told = Counter[str]()
    with opened() as (recorder, keys):
        for due in due_at(recorder.log, rules, SystemClock().now()):
            outcome = due.kept or ("erased" if apply else "due")
            for purpose in due.purposes:
                if outcome == "erased":
                    order = Erase(
                        dossier=due.dossier, purposes=(purpose,), basis="retention",
                        reference=rules[purpose].reference, official=by,
                    )  # fmt: skip
                    erase(recorder, keys, order)
                typer.echo(f"{due.dossier}\t{purpose}\t{rules[purpose].reference}\t{outcome}")
                told[outcome] += 1
    said = ", ".join(f"{outcome}: {count}" for outcome, count in sorted(told.items()))
    typer.echo(said or "nothing is due")
