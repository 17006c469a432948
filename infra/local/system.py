# SPDX-License-Identifier: Apache-2.0
"""What the machine offers: users, programs, free ports, and Debian's packages.

Servers may not run as root, so root starts them as the packages' own users; an ordinary user
starts them as itself.
"""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

POLICY: Final = Path("/usr/sbin/policy-rc.d")
_APT_TIMEOUT_S: Final = 900
_OUTGOING: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_OUTGOING: Final = 32_768
_LOWEST_PORT: Final = 10_000
_PORT_TRIES: Final = 10_000
_DICE: Final = random.SystemRandom()
_given: set[int] = set()
_PATIENT: Final = "DPkg::Lock::Timeout=120"  # another apt may be at work
GIVEN_SERVERS: Final = (
    "or give MOTCUA_DATABASE_URL, MOTCUA_AMQP_URL and MOTCUA_AMQP_MANAGEMENT_URL of running servers"
)
_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class MissingError(Exception):
    """Something the platform needs is not on this machine; the message says what to do."""


class InterruptedBySignal(KeyboardInterrupt):
    """Somebody wants the program to stop; ``number`` is the signal that said so."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number."""
        super().__init__(number)
        self.number = number


def end_on_sigterm() -> None:
    """Let SIGTERM and SIGHUP end the program like Ctrl-C, so that it stops what it started.

    Only the first of them counts: whoever presses Ctrl-C again does not cut the cleaning short.
    ``nohup`` is respected. Ctrl-C works although a shell ignores it for what it runs beside
    itself; programs started from here would else be deaf to it, too.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for each in _STOPS:
            signal.signal(each, signal.SIG_IGN)
        print("stopping …", file=sys.stderr, flush=True)
        raise InterruptedBySignal(number)

    for each in _STOPS:
        if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, interrupt)


def free_port() -> int:
    """Return a TCP port that nobody uses now, never the same twice.

    It lies below the range of outgoing connections: from within it, another program's connection
    could take the port of a server that is down for a moment.
    """
    for _ in range(_PORT_TRIES):
        port = _DICE.randrange(_LOWEST_PORT, _first_outgoing_port())
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise MissingError("found no free TCP port below those of outgoing connections")


def _first_outgoing_port() -> int:
    try:
        first = int(_OUTGOING.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_OUTGOING
    return first if first >= 2 * _LOWEST_PORT else _USUAL_OUTGOING


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def wait_until(what: str, check: Callable[[], bool], timeout_s: float) -> None:
    """Return once ``check`` is true; raises TimeoutError naming ``what`` after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what} did not happen within {timeout_s:.0f} s")
        time.sleep(0.1)


def answers(port: int) -> bool:
    """Say whether something accepts connections on ``port`` of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run_as(user: str) -> list[str]:
    """Return the words to put before a command so that it does not run as root."""
    return ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []


def give_to(path: Path, user: str) -> None:
    """Let ``user`` own ``path`` when we are root."""
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def can_enter(path: Path, user: str) -> bool:
    """Say whether ``user`` can reach ``path`` (always, when we are not root)."""
    if os.geteuid() != 0:
        return True
    command = [*run_as(user), "test", "-x", str(path)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def may_install() -> bool:
    """Say whether we are root, or sudo asks no password, where Debian's packages are."""
    sudo = ["sudo", "-n", "true"]
    return shutil.which("apt-get") is not None and (
        os.geteuid() == 0
        or (
            shutil.which("sudo") is not None
            and subprocess.run(sudo, check=False, capture_output=True).returncode == 0
        )
    )


def install(packages: tuple[str, ...], otherwise: str = GIVEN_SERVERS) -> None:
    """Install Debian packages without letting them start their own daemons.

    ``otherwise`` is told to whoever may not install: the other way out.

    Raises:
        MissingError: neither root nor sudo without a password, or apt failed.
    """
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    wanted = " ".join(packages)
    if not may_install():
        raise MissingError(
            f"not on this machine: {wanted}\n"
            f"install it (for example: sudo apt-get install -y --no-install-recommends {wanted})\n"
            f"{otherwise}"
        )
    print(f"installing {wanted} …", file=sys.stderr)
    ours = not POLICY.exists()
    if ours:
        _write_policy(sudo)
    try:
        done = None
        for command in (
            ["apt-get", "update", "-q"],
            [
                "apt-get",
                "-o",
                _PATIENT,
                "install",
                "-y",
                "-q",
                "--no-install-recommends",
                *packages,
            ],
        ):
            done = subprocess.run(
                [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", *command],
                check=False, capture_output=True, text=True, timeout=_APT_TIMEOUT_S,
            )  # fmt: skip
        if done is not None and done.returncode:
            raise MissingError(f"apt-get could not install {wanted}:\n{done.stderr[-2000:]}")
    finally:
        if ours:
            subprocess.run([*sudo, "rm", "-f", str(POLICY)], check=False)


def _write_policy(sudo: list[str]) -> None:
    script = f"printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}"
    subprocess.run([*sudo, "sh", "-c", script], check=True)
