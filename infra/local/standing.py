# SPDX-License-Identifier: Apache-2.0
"""``make up`` and ``make down``: an installation that stays until it is told to go."""

import json
import os
import shutil
from pathlib import Path
from typing import Final

from infra.local import prepare, settings, stack
from infra.local.postgres import PostgresServer
from infra.local.rabbitmq import RabbitServer
from infra.local.servers import LOCAL, Servers, data_folder

STATE: Final = LOCAL / "up.json"


def up() -> int:
    """Start servers and processes, print the addresses; returns the exit code."""
    if STATE.exists():
        print("already up (make down stops it)")
        return 0
    servers = Servers(os.environ, "up")
    folder: Path | None = None
    try:
        addresses = servers.__enter__()
        folder = data_folder("stack")
        local = settings.make_stack(folder, addresses)
        _remember(servers, folder)
        prepare.everything(local)
        stack.supervise(local)
        stack.supervisor(local)
        stack.wait_ready(local, (*prepare.NAMEKO, *prepare.WEB))
    except BaseException:
        if folder is not None and (folder / "supervisord.conf").exists():
            stack.stop_folder(folder)
        servers.close()
        _forget(folder)
        raise
    for name in ("intake-web-http", "payment-web-http", "edge", "bank", "smsc-http", "one-stop"):
        print(f"{name:<18} {local.http(name)}")
    print(f"official's token   {local.secret('official_token')}")
    print(f"logs               {folder / 'log'}")
    return 0


def down() -> int:
    """Stop everything that ``up`` started and remove its data; returns the exit code."""
    if not STATE.exists():
        print("nothing is up")
        return 0
    state = json.loads(STATE.read_text(encoding="utf-8"))
    folder = Path(state["stack"])
    stack.stop_folder(folder)
    if state["servers"]:
        home = Path(state["servers"])
        rabbit = RabbitServer(home / "rabbitmq", "")
        rabbit.port, rabbit.epmd_port = state["amqp_port"], state["epmd_port"]
        rabbit.stop()
        PostgresServer(home / "postgres", "").stop("immediate")
        shutil.rmtree(home, ignore_errors=True)
    _forget(folder)
    print("everything is stopped")
    return 0


def _remember(servers: Servers, folder: Path) -> None:
    state = {
        "stack": str(folder),
        "servers": None if servers.folder is None else str(servers.folder),
        "amqp_port": None if servers.rabbit is None else servers.rabbit.port,
        "epmd_port": None if servers.rabbit is None else servers.rabbit.epmd_port,
    }
    STATE.write_text(json.dumps(state), encoding="utf-8")


def _forget(folder: Path | None) -> None:
    STATE.unlink(missing_ok=True)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
