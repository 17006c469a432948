# SPDX-License-Identifier: Apache-2.0
"""Nothing outlives `python -m infra.local run`, however the command or the run itself ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from infra.local.keeper import descendants

GIVEN = {
    "MOTCUA_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "MOTCUA_AMQP_URL": "amqp://nobody@127.0.0.1:1/",
    "MOTCUA_AMQP_MANAGEMENT_URL": "http://127.0.0.1:1",
}
DAEMON = """
import subprocess, sys
daemon = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, start_new_session=True)
print(daemon.pid, flush=True)
"""
CLEANS_UP = (
    DAEMON
    + """
try:
    sys.stdin.readline()
except KeyboardInterrupt:
    print("cleaning", flush=True)
    sys.stdin.readline()
    print("cleaned", flush=True)
"""
)
FORGETS = DAEMON + "sys.exit(7)"


DEAF: Final = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as a shell starts what ends in &


@contextmanager
def _run(script: str, *before: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run ``script`` with servers that are never asked; yields the run and the daemon's id."""
    command = [
        *before,
        sys.executable,
        "-m",
        "infra.local",
        "run",
        "--",
        sys.executable,
        "-c",
        script,
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | GIVEN
    ) as run:
        assert run.stdout is not None
        yield run, int(run.stdout.readline())


def _lives(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("before", [[], DEAF])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_command_cleans_up_before_the_run_ends(
    number: signal.Signals, before: list[str]
) -> None:
    """A second signal does not cut the cleaning short; the daemon is gone afterwards."""
    with _run(CLEANS_UP, *before) as (run, daemon):
        assert run.stdin is not None
        assert run.stdout is not None
        run.send_signal(number)
        assert run.stdout.readline() == "cleaning\n"
        run.send_signal(number)
        run.stdin.write("go on\n")
        run.stdin.flush()
        assert run.stdout.readline() == "cleaned\n"
        assert run.wait(30) == 130
    assert not _lives(daemon)


def test_a_forgotten_daemon_ends_with_the_run() -> None:
    """The command's own exit code comes through."""
    with _run(FORGETS) as (run, daemon):
        assert run.wait(30) == 7
    assert not _lives(daemon)


def test_a_killed_command_leaves_nothing() -> None:
    """What the killed command had started is adopted and ended."""
    with _run(CLEANS_UP) as (run, daemon):
        parent = int(Path(f"/proc/{daemon}/stat").read_text(encoding="utf-8").split()[3])
        assert {daemon, parent} <= descendants(run.pid)
        os.kill(parent, signal.SIGKILL)
        assert run.wait(30) == 137
    assert not _lives(daemon)
