# SPDX-License-Identifier: Apache-2.0
"""``make up`` and ``make down``: an installation that stays until it is told to go."""

import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

from infra.local import prepare, settings, stack
from infra.local.compose import ComposeServers
from infra.local.postgres import PostgresServer
from infra.local.rabbitmq import RabbitServer
from infra.local.servers import LOCAL, Servers, data_folder

STATE: Final = LOCAL / "up.json"


def up() -> int:
    """Start servers and processes, print the addresses; returns the exit code."""
    if STATE.exists():
        if _state()["boot"] == _boot():
            print("already up (make down stops it)")
            return 0
        down()
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
    machines = (f"edge-{serial}" for serial in settings.MACHINES)
    outside = ("bank", "smsc-http", "one-stop", "identity")
    for name in ("intake-web-http", "payment-web-http", *machines, *outside):
        print(f"{name:<18} {local.http(name)}")
    print(f"auditors' pages    {local.http('audit-web-http')}/audit")
    print(f"subscribers' pages {local.http('notify-web-http')}/subscribers")
    print(f"official's token   {local.secret('official_token')}")
    print(f"logs               {folder / 'log'}")
    return 0


def down() -> int:
    """Stop everything that ``up`` started and remove its data; returns the exit code."""
    if not STATE.exists():
        print("nothing is up")
        return 0
    state = _state()
    folder = Path(state["stack"])
    if state["boot"] == _boot():  # else the machine restarted, and the numbers are others' now
        if (folder / "supervisord.conf").exists():
            stack.stop_folder(folder)
        _stop_servers(state)
    if state["servers"]:
        shutil.rmtree(state["servers"], ignore_errors=True)
    _forget(folder)
    print("everything is stopped")
    return 0


def _stop_servers(state: dict[str, Any]) -> None:
    if state["servers"]:
        home = Path(state["servers"])
        rabbit = RabbitServer(home / "rabbitmq", "")
        rabbit.port, rabbit.epmd_port = state["amqp_port"], state["epmd_port"]
        rabbit.stop()
        PostgresServer(home / "postgres", "").stop("immediate")
    if state["compose"]:
        ComposeServers(state["compose"]).stop()


def _state() -> dict[str, Any]:
    return dict(json.loads(STATE.read_text(encoding="utf-8")))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _remember(servers: Servers, folder: Path) -> None:
    state = {
        "boot": _boot(),
        "compose": None if servers.compose is None else servers.compose.project,
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
