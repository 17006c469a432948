# SPDX-License-Identifier: Apache-2.0
"""``make demo``: twenty dossiers from the machine to the citizens' hands, and the account of it.

Everything is real: broker, database, sockets, files. Ends by itself; exit code 0 only if the log
and the outside world's own books agree in every line.
"""

import os
import random
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.audit_books import Line, compare
from infra.hands import Citizen, GaveUpError, Hands
from infra.local import prepare, settings, stack
from infra.local.keeper import kept
from infra.local.servers import Servers, data_folder
from infra.local.settings import LOG_ID, MACHINE, Stack
from infra.local.system import MissingError, end_on_sigterm
from services.common.eventlog.postgres import PostgresLog
from services.common.money import Vnd, vnd_text

DOSSIERS: Final = 20
PROCEDURES: Final = ("2.000635", "1.001612", "1.012789", "1.001570")
NOTES: Final = (200_000, 100_000, 50_000, 20_000, 10_000)
_STEPS: Final = 6


def main() -> int:
    """Set up, play, account; returns the exit code."""
    return kept(_main)


def _main() -> int:
    end_on_sigterm()
    console, began = Console(width=110), time.monotonic()
    console.rule("Một Cửa 24/7 · demonstration")
    try:
        with Servers(os.environ, "demo") as addresses:
            folder = data_folder("stack")
            try:
                return _run(console, settings.make_stack(folder, addresses), began)
            finally:
                if not os.environ.get("MOTCUA_KEEP"):
                    shutil.rmtree(folder, ignore_errors=True)
    except (MissingError, TimeoutError, GaveUpError) as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1


def _run(console: Console, local: Stack, began: float) -> int:
    prepare.everything(local)
    stack.supervise(local)
    stack.supervisor(local)
    try:
        stack.wait_ready(local, (*prepare.NAMEKO, *prepare.WEB))
        console.print(f"PostgreSQL, RabbitMQ and 16 processes after {_since(began)}\n")
        hands, started = Hands(local), time.monotonic()
        dossiers = play(console, hands)
        console.print(f"\n{DOSSIERS} dossiers in {_since(started)}\n")
        return account(console, local, hands, dossiers[0])
    finally:
        stack.stop(local)


def citizens(dice: random.Random, count: int = DOSSIERS) -> list[Citizen]:
    """Return made-up people with real procedures; every second pays cash."""
    names = ("Huỳnh Văn Út", "Nguyễn Thị Lan", "Thạch Sô Phia", "Trần Quốc Bảo", "Lê Thị Mười")
    return [
        Citizen(
            name=names[place % len(names)],
            phone=f"09{dice.randrange(10**8):08d}",
            procedure=PROCEDURES[place % len(PROCEDURES)],
            copies=1 + place % 3,
            pouch=f"P{place + 1:07d}",
            pays="cash" if place // 2 % 2 else "qr",
        )
        for place in range(count)
    ]


def notes_for(amount: int) -> list[int]:
    """Return notes that cover ``amount``; validators take none under 10,000."""
    notes: list[int] = []
    for note in NOTES:
        while amount - sum(notes) >= note:
            notes.append(note)
    return notes if sum(notes) >= amount else [*notes, NOTES[-1]]


def play(console: Console, hands: Hands) -> list[str]:
    """Take every dossier through the whole path; returns their ids."""
    people_ = citizens(random.Random(int(os.environ.get("SEED", "1"))))  # noqa: S311 - made up
    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=DOSSIERS * _STEPS)

        def step(text: str) -> None:
            progress.update(task, description=text, advance=1)

        dossiers = []
        for citizen in people_:
            dossiers.append(_hand_in(hands, citizen))
            step("handed in and paid at the machine")
        codes = []
        for dossier in dossiers:
            codes.append(hands.accept(dossier))
            step("accepted by an official")
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(partial(_finish, hands), dossiers, codes):
                step("finished, to be returned here")
        for cell, dossier in enumerate(dossiers, start=1):
            hands.load(dossier, cell)
            step("laid into a cell")
        for dossier, citizen in zip(dossiers, people_, strict=True):
            hands.collect(dossier, hands.await_code(citizen.phone))
            step("collected with the code")
        for code in codes:
            hands.await_reported(code)
            step("one-stop system: 9 → 10")
    return dossiers


def account(console: Console, local: Stack, hands: Hands, example: str) -> int:
    """Print one story, the balance of everything and the comparison; returns the exit code."""
    story = Table("at", "what happened", "who", title=f"The story of dossier {example}")
    for event in hands.timeline(example):
        story.add_row(event["occurred_at"][11:23], event["type"], str(event["actor"]))
    console.print(story)
    money = Table("account", "balance", title="Money, double entry")
    balance = hands.balance()
    for name, amount in balance["accounts"].items():
        money.add_row(name, vnd_text(Vnd(amount)))
    money.add_row("[bold]sum", f"[bold]{vnd_text(Vnd(balance['sum']))}")
    console.print(money)
    lines = _settled_lines(local, hands)
    table = Table("compared", "log", "outside", "", title="The log and the outside world's books")
    for line in lines:
        mark = "[green]agrees" if line.agrees else "[red]DIFFERS"
        table.add_row(line.what, _short(line.ours), _short(line.theirs), mark)
    console.print(table)
    wrong = sum(not line.agrees for line in lines)
    console.print("[green]every line agrees" if not wrong else f"[red]{wrong} lines differ")
    return 1 if wrong else 0


def _settled_lines(local: Stack, hands: Hands) -> list[Line]:
    """Compare until all agrees or 30 s are over: acknowledgements may be on the way."""
    log = PostgresLog(local.database_url("motcua_audit"), LOG_ID)
    deadline = time.monotonic() + 30
    try:
        while True:
            lines = compare(log, hands.books())
            if all(line.agrees for line in lines) or time.monotonic() > deadline:
                return lines
            time.sleep(0.3)
    finally:
        log.close()


def _hand_in(hands: Hands, citizen: Citizen) -> str:
    dossier = hands.deposit(citizen)
    offer = hands.await_offer(dossier)
    if offer is not None:
        if citizen.pays == "qr":
            hands.pay_by_qr(offer)
        else:
            hands.pay_by_cash(dossier, notes_for(int(offer["amount_vnd"])))
        hands.await_paid(dossier)
    return dossier


def _finish(hands: Hands, dossier: str, code: str) -> None:
    hands.finish(code, MACHINE)
    hands.await_completed(dossier)


def _short(value: object) -> str:
    if isinstance(value, list | dict):
        return f"{len(value)} entries"
    return str(value)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
