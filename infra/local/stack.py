# SPDX-License-Identifier: Apache-2.0
"""All processes of the platform on one machine, under one supervisor.

The supervisor restarts what dies (ADR-0009), writes one log file a process, and stops everything
with SIGTERM. Databases, broker topology, seed and enrolment are prepared before the first start.
"""

import json
import os
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Final

from infra.local import settings
from infra.local.pki import fingerprint
from infra.local.settings import LOG_ID, MACHINES, Stack
from infra.local.system import answers, wait_until

DEFINITIONS: Final = Path("infra/rabbitmq/definitions.json")
READY_TIMEOUT_S: Final = 90.0
Program = tuple[list[str], dict[str, str]]
"""Command and environment."""
_SERVICES: Final = ("intake", "payment", "notify", "kiosk_sync")


def environment(stack: Stack, process: str, role: str | None) -> dict[str, str]:
    """Return the environment of ``process``; secrets only by file, except database logins."""
    values = {
        "MOTCUA_METRICS_PORT": str(stack.ports.get(process, 0)),
        "MOTCUA_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
    }
    if role is None:
        return values
    values |= {
        "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_DATABASE_URL": stack.database_url(role),
        "MOTCUA_KEYS_DATABASE_URL": stack.database_url(role, keys=True),
        "MOTCUA_AMQP_URL": stack.amqp_url(role),
        "MOTCUA_SERVICE_KEY_FILE": str(stack.secret("service_key")),
        "MOTCUA_KEK_FILE": str(stack.secret("kek")),
    }
    if f"{process}-http" in stack.ports:
        values["MOTCUA_HTTP_PORT"] = str(stack.ports[f"{process}-http"])
    return values | _OWN[role.removeprefix("motcua_")](stack)


def _intake(stack: Stack) -> dict[str, str]:
    return {
        "MOTCUA_ONE_STOP_URL": stack.http("one-stop"),
        "MOTCUA_ONE_STOP_SESSION_FILE": str(stack.secret("one_stop_session")),
        "MOTCUA_ONE_STOP_2026_OFFICES": "CT",
        "MOTCUA_ONE_STOP_2026_URL": stack.http("one-stop"),
        "MOTCUA_ONE_STOP_2026_CLIENT": settings.ONE_STOP_CLIENT,
        "MOTCUA_ONE_STOP_2026_SECRET_FILE": str(stack.secret("one_stop_session")),
        "MOTCUA_OFFICIALS_FILE": str(stack.secret("officials.json")),
        "MOTCUA_PULL_INTERVAL_S": "0.5",
    }


def _payment(stack: Stack) -> dict[str, str]:
    return {
        "MOTCUA_PAYOS_CHECKSUM_KEY_FILE": str(stack.secret("payos_key")),
        "MOTCUA_BANK_BIN": settings.BANK_BIN,
        "MOTCUA_BANK_ACCOUNT": settings.BANK_ACCOUNT,
        "MOTCUA_BANK_STATEMENT_URL": stack.http("bank"),
        "MOTCUA_BANK_STATEMENT_INTERVAL_S": "2",
        "MOTCUA_OFFICIALS_FILE": str(stack.secret("officials.json")),
    }


def _notify(stack: Stack) -> dict[str, str]:
    return {
        "MOTCUA_SMPP_HOST": "127.0.0.1",
        "MOTCUA_SMPP_PORT": str(stack.ports["smsc"]),
        "MOTCUA_SMPP_SYSTEM_ID": settings.SMPP_USER,
        "MOTCUA_SMPP_PASSWORD_FILE": str(stack.secret("smpp_password")),
        "MOTCUA_SMS_SENDER": settings.SMS_SENDER,
        "MOTCUA_QUIET_FROM_HOUR": "0",  # equal hours: people try things out at any time
        "MOTCUA_QUIET_TO_HOUR": "0",
    }


def _kiosk_sync(stack: Stack) -> dict[str, str]:
    pki = stack.folder / "pki"
    return {
        "MOTCUA_CENTRAL_SIGN_KEY_FILE": str(stack.secret("central_sign")),
        "MOTCUA_CENTRAL_BOX_KEY_FILE": str(stack.secret("central_box")),
        "MOTCUA_TLS_CERT_FILE": str(pki / "centre.pem"),
        "MOTCUA_TLS_KEY_FILE": str(pki / "centre.key"),
        "MOTCUA_TLS_CLIENT_CA_FILE": str(pki / "ca.pem"),
        "MOTCUA_OFFICIALS_FILE": str(stack.secret("officials.json")),
    }


def _sealer(stack: Stack) -> dict[str, str]:
    return {
        "MOTCUA_SEAL_KEY_FILE": str(stack.secret("seal_key")),
        "MOTCUA_WITNESSES_FILE": str(stack.secret("witnesses")),
    }


def _witness(stack: Stack) -> dict[str, str]:
    return environment(stack, "witness", None) | {
        "MOTCUA_WITNESS_NAME": settings.WITNESS_NAME,
        "MOTCUA_WITNESS_KEY_FILE": str(stack.secret("witness_key")),
        "MOTCUA_WITNESS_LOGS_FILE": str(stack.secret("witness_logs")),
        "MOTCUA_WITNESS_MEMORY": str(stack.folder / "books" / "witness.db"),
        "MOTCUA_HTTP_PORT": str(stack.ports["witness-http"]),
    }


def _feed(stack: Stack) -> dict[str, str]:
    process = "notify-feed"
    return environment(stack, process, None) | {
        "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_DATABASE_URL": stack.database_url("motcua_feed"),
        "MOTCUA_CERTIFICATE_KEY_FILE": str(stack.secret("certificate_key")),
        "MOTCUA_HTTP_PORT": str(stack.ports[f"{process}-http"]),
    }


def _webhooks(stack: Stack) -> dict[str, str]:
    return environment(stack, "notify-webhooks", None) | {
        "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_DATABASE_URL": stack.database_url("motcua_notify"),
        "MOTCUA_SERVICE_KEY_FILE": str(stack.secret("service_key")),
        "MOTCUA_WEBHOOK_KEY_FILE": str(stack.secret("webhook_key")),
        "MOTCUA_WEBHOOK_NETWORKS": "127.0.0.0/8",  # receivers here are sandboxes
    }


def _notify_web(stack: Stack) -> dict[str, str]:
    process = "notify-web"
    return environment(stack, process, None) | _site(stack, process) | {
        "MOTCUA_DATABASE_URL": stack.database_url("motcua_notify"),
        "MOTCUA_SERVICE_KEY_FILE": str(stack.secret("service_key")),
        "MOTCUA_AMQP_URL": stack.amqp_url(settings.LOOKER),
    }  # fmt: skip


def _site(stack: Stack, process: str) -> dict[str, str]:
    """Return what every area of the site has: log, address, identity provider, session."""
    return {
        "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_HTTP_PORT": str(stack.ports[f"{process}-http"]),
        "MOTCUA_PUBLIC_URL": stack.http(f"{process}-http"),
        "MOTCUA_OIDC_ISSUER": stack.http("identity"),
        "MOTCUA_OIDC_CLIENT_ID": settings.OIDC_CLIENT,
        "MOTCUA_OIDC_CLIENT_SECRET_FILE": str(stack.secret("oidc_secret")),
        "MOTCUA_SESSION_KEY_FILE": str(stack.secret("session_key")),
    }


def _audit_web(stack: Stack) -> dict[str, str]:
    process = "audit-web"
    return environment(stack, process, None) | _site(stack, process) | {
        "MOTCUA_DATABASE_URL": stack.database_url("motcua_audit_web"),
        "MOTCUA_TRUSTED_KEYS_FILE": str(stack.secret("trusted_keys")),
    }  # fmt: skip


def _nothing(_stack: Stack) -> dict[str, str]:
    return {}


_OWN: Final[dict[str, Callable[[Stack], dict[str, str]]]] = {
    "intake": _intake,
    "payment": _payment,
    "notify": _notify,
    "kiosk_sync": _kiosk_sync,
    "relay": _nothing,
    "sealer": _sealer,
}


def processes(stack: Stack) -> dict[str, Program]:
    """Return command and environment of every process by name."""
    python = sys.executable
    table: dict[str, Program] = {}
    for service in _SERVICES:
        role, name = f"motcua_{service}", service.replace("_", "-")
        module = [python, "-m", f"services.{service}"]
        table[name] = (module, environment(stack, name, role))
        kinds = {"notify": (), "kiosk_sync": ("web", "downlink")}.get(service, ("web",))
        for kind in kinds:
            process = f"{name}-{kind}"
            table[process] = ([*module, kind], environment(stack, process, role))
    relay = [python, "-m", "services.common.relay"]
    table["relay"] = (relay, environment(stack, "relay", "motcua_relay"))
    table["notify-feed"] = ([python, "-m", "services.notify", "feed"], _feed(stack))
    table["notify-webhooks"] = ([python, "-m", "services.notify", "webhooks"], _webhooks(stack))
    table["notify-web"] = ([python, "-m", "services.notify", "web"], _notify_web(stack))
    sealer = [python, "-m", "services.common.audit.sealer"]
    table["sealer"] = (sealer, environment(stack, "sealer", "motcua_sealer"))
    table["witness"] = ([python, "-m", "services.common.audit.witness"], _witness(stack))
    table["audit-web"] = ([python, "-m", "services.auditing"], _audit_web(stack))
    for name, words in sandboxes(stack).items():
        table[f"sandbox-{name}"] = ([python, "-m", *words], environment(stack, name, None))
    for serial in MACHINES:
        config = str(edge_config(stack, serial))
        edge = [python, "-m", "services.kiosk_sync.edge", "--config", config]
        table[f"edge-{serial}"] = (edge, environment(stack, f"edge-{serial}-metrics", None))
    return table


def sandboxes(stack: Stack) -> dict[str, list[str]]:
    """Return module and flags of the outside world's servers, each with its own book."""
    books, port = stack.folder / "books", {k: str(v) for k, v in stack.ports.items()}
    books.mkdir(exist_ok=True)
    callback = f"{stack.http('payment-web-http')}/payment/v1/callbacks/payos"
    return {
        "bank": [
            "infra.sandbox.bank", "--port", port["bank"], "--book", str(books / "bank.db"),
            "--callback", callback, "--checksum-key-file", str(stack.secret("payos_key")),
        ],
        "smsc": [
            "infra.sandbox.smsc", "--port", port["smsc"], "--http-port", port["smsc-http"],
            "--book", str(books / "smsc.db"), "--password-file", str(stack.secret("smpp_password")),
            "--system-id", settings.SMPP_USER, "--sender", settings.SMS_SENDER,
        ],
        "one-stop": [
            "infra.sandbox.one_stop", "--port", port["one-stop"],
            "--book", str(books / "one_stop.db"),
            "--session-file", str(stack.secret("one_stop_session")),
        ],
        "identity": [
            "infra.sandbox.identity", "--port", port["identity"], "--client", settings.OIDC_CLIENT,
            "--secret-file", str(stack.secret("oidc_secret")),
            "--back", f"{stack.http('audit-web-http')}/audit/login",
            "--back", f"{stack.http('notify-web-http')}/subscribers/login",
        ],
        **{f"line-{serial}": _line(port, serial) for serial in MACHINES},
    }  # fmt: skip


def _line(port: dict[str, str], serial: str) -> list[str]:
    ways = {"line-web": "kiosk-sync-web-http", "line-downlink": "kiosk-sync-downlink-http"}
    forwards = [
        word
        for listen, target in ways.items()
        for word in ("--forward", f"{port[f'{listen}-{serial}']}:{port[target]}")
    ]
    return ["infra.sandbox.line", "--port", port[f"line-{serial}"], *forwards]


def edge_config(stack: Stack, serial: str) -> Path:
    """Write and return the configuration file of a virtual machine."""
    pki, ports = stack.folder / "pki", stack.ports
    values = {
        "serial": serial,
        "epoch": 1,
        "folder": str(stack.folder / "machines" / serial),
        "base_url": f"https://127.0.0.1:{ports[f'line-web-{serial}']}",
        "downlink_url": f"https://127.0.0.1:{ports[f'line-downlink-{serial}']}",
        "ca": str(pki / "ca.pem"),
        "cert": str(pki / f"{serial}.pem"),
        "key": str(pki / f"{serial}.key"),
        "sign_key_file": str(stack.secret(f"machine_sign_{serial}")),
        "centre_sign_key": stack.secret("central_sign_public").read_text(),
        "centre_box_key": stack.secret("central_box_public").read_text(),
        "control_port": ports[f"edge-{serial}"],
        "sync_first_s": 0.1,
        "sync_last_s": 2.0,
        "catalogue_s": 2.0,
        "staff": list(settings.MACHINE_STAFF),
    }
    path = stack.folder / f"edge-{serial}.json"
    path.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return path


def machine_identity(stack: Stack, serial: str) -> dict[str, str]:
    """Return what the centre must know to let a machine of the demonstration speak."""
    return {
        "serial": serial,
        "office": MACHINES[serial],
        "tls_fingerprint": fingerprint(stack.folder / "pki" / f"{serial}.pem"),
        "sign_key": stack.secret(f"machine_sign_public_{serial}").read_text(),
    }


def wait_ready(stack: Stack, names: Sequence[str], timeout_s: float = READY_TIMEOUT_S) -> None:
    """Return once every named process says it is ready; raises TimeoutError naming the first."""
    for name in names:
        port = stack.ports[name]
        wait_until(f"{name} to be ready", partial(_is_ready, port), timeout_s)


def _is_ready(port: int) -> bool:
    if not answers(port):
        return False
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    except (OSError, HTTPException):
        return False


def supervise(stack: Stack, more: Mapping[str, Program] | None = None) -> Path:
    """Write the supervisor's configuration, with programs of the caller; return its path."""
    logs = stack.folder / "log"
    logs.mkdir(exist_ok=True)
    lines = [
        "[supervisord]", f"logfile={logs}/supervisord.log",
        f"pidfile={stack.folder}/supervisord.pid",
        f"childlogdir={logs}", "nodaemon=false", "minfds=4096",
        "[unix_http_server]", f"file={stack.folder}/supervisor.sock", "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisorctl]", f"serverurl=unix://{stack.folder}/supervisor.sock",
    ]  # fmt: skip
    for name, (command, environ) in {**processes(stack), **(more or {})}.items():
        pairs = ",".join(f'{key}="{value.replace("%", "%%")}"' for key, value in environ.items())
        words = shlex.join(command).replace("%", "%%")
        lines += [
            f"[program:{name}]", f"command={words}", f"environment={pairs}",
            f"directory={Path.cwd()}", f"stdout_logfile={logs}/{name}.log", "redirect_stderr=true",
            "stdout_logfile_maxbytes=20MB", "stdout_logfile_backups=1", "autorestart=true",
            "startretries=1000", "startsecs=1", "stopsignal=TERM", "stopwaitsecs=20",
            "killasgroup=true",
        ]  # fmt: skip
    path = stack.folder / "supervisord.conf"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def supervisor(stack: Stack, *words: str) -> int:
    """Run ``supervisorctl`` (or ``supervisord`` for no words); returns its exit code."""
    return _control(stack.folder, *words)


def running_pid(stack: Stack, name: str) -> int:
    """Return the process that runs as ``name``; raises TimeoutError when none does for 30 s."""
    found: list[int] = []

    def runs() -> bool:
        said = _controlled(stack.folder, "pid", name).stdout.strip()
        found[:] = [int(said)] if said.isdigit() and int(said) > 1 else []
        return bool(found)

    wait_until(f"{name} running", runs, 30)
    return found[0]


def _control(folder: Path, *words: str) -> int:
    return _controlled(folder, *words).returncode


def _controlled(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    conf = str(folder / "supervisord.conf")
    module = "supervisor.supervisorctl" if words else "supervisor.supervisord"
    command = [sys.executable, "-W", "ignore", "-m", module, "-c", conf, *words]
    return subprocess.run(command, check=False, capture_output=True, timeout=120)


def programs(folder: Path) -> list[str]:
    """Return the names of everything that the supervisor of ``folder`` runs."""
    conf = (folder / "supervisord.conf").read_text(encoding="utf-8")
    return [line[9:-1] for line in conf.split("\n") if line.startswith("[program:")]


def stop(stack: Stack) -> None:
    """Stop every process at once, then the supervisor; return when it is gone."""
    stop_folder(stack.folder)


def _runs(pid_file: Path) -> bool:
    """Say whether the process lives that ``pid_file`` names; a killed one leaves its file."""
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def stop_folder(folder: Path) -> None:
    """Stop the installation in ``folder``; nothing happens when it is not running."""
    names = programs(folder)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: _control(folder, "stop", name), names))
    _control(folder, "shutdown")
    pid_file = folder / "supervisord.pid"
    wait_until("all processes to end", lambda: not _runs(pid_file), 60.0)
