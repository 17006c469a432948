# SPDX-License-Identifier: Apache-2.0
"""``make demo``: a day at two machines while the outside world misbehaves, and the account of it.

Everything is real: broker, database, sockets, files. Ends by itself; exit code 0 only if every
visit ended as its story tells and the log agrees with the outside world's own books in every line.
``SEED=`` gives another day.
"""

import os
import sys
import time
from functools import partial
from typing import Final

from rich.console import Console

from infra.day import account, opening, plan
from infra.day.crowd import Clock, Crowd
from infra.day.listener import Listener
from infra.day.trouble import NEW_AT_CT, Watch, troubles
from infra.hands import GaveUpError
from infra.local import prepare, stack
from infra.local.fresh import fresh_stack
from infra.local.keeper import kept
from infra.local.servers import Servers
from infra.local.settings import MACHINES, Stack
from infra.local.system import MissingError, end_on_sigterm

WIDTH: Final = 110


def main() -> int:
    """Set up, play, account; returns the exit code."""
    return kept(_main)


def _main() -> int:
    end_on_sigterm()
    console, began = Console(width=WIDTH), time.monotonic()
    console.rule("Một Cửa 24/7 · a day at two machines")
    servers = Servers(os.environ, "demo")
    try:
        with fresh_stack(servers) as local:
            return _run(console, servers, local, began)
    except (MissingError, TimeoutError, GaveUpError) as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1


def _run(console: Console, servers: Servers, local: Stack, began: float) -> int:
    prepare.everything(local)
    listener = Listener(local)
    stack.supervise(local)
    stack.supervisor(local)
    try:
        stack.wait_ready(local, (*prepare.NAMEKO, *prepare.WEB))
        processes = len(stack.programs(local.folder))
        ready_s = time.monotonic() - began
        console.print(f"PostgreSQL, RabbitMQ and {processes} processes after {ready_s:.0f} s\n")
        day_began = time.monotonic()
        outcome = _day(console, servers, local, listener=listener)
        console.print(f"{time.monotonic() - day_began:.0f} s after set-up", style="dim")
        return outcome
    finally:
        stack.stop(local)


def _day(console: Console, servers: Servers, local: Stack, *, listener: Listener) -> int:
    seed = int(os.environ.get("SEED", "1"))
    clock = Clock(partial(console.print, highlight=False, soft_wrap=True))
    crowd = Crowd(local, clock.say)
    opening.monday_morning(crowd, clock.say)
    later = [("CT01", NEW_AT_CT)] * 2
    visits = plan.visits(plan.places(MACHINES), seed, later=later)
    clock.say(f"the doors open: {len(visits)} people, {len(MACHINES)} machines, SEED={seed}")
    with Watch(troubles(local, servers), crowd.done, clock.say) as watch:
        crowd.play(visits)
    clock.say(f"{len(crowd.outcomes)} visits are over\n")
    return account.account(
        console, local, crowd, watch.failed, listener=listener, raw=servers.folder
    )


if __name__ == "__main__":
    sys.exit(main())
