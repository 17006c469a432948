# SPDX-License-Identifier: Apache-2.0
"""``python -m infra.local up | down | run -- COMMAND``: servers and processes of one machine."""

import os
import signal
import subprocess
import sys
from functools import partial
from typing import Final

from infra.local import standing
from infra.local.keeper import GRACE_S, kept
from infra.local.servers import Servers
from infra.local.system import InterruptedBySignal, MissingError, end_on_sigterm

USAGE: Final = "usage: python -m infra.local up | down | run -- COMMAND [WORD …]"


def main(words: list[str]) -> int:
    """Run the command; returns its exit code, 2 for wrong words or a missing server."""
    if words in (["up"], ["down"]):
        return _standing(words[0])
    if words[:2] != ["run", "--"] or not words[2:]:
        print(USAGE, file=sys.stderr)
        return 2
    return kept(partial(_run, words[2:]))


def _run(command: list[str]) -> int:
    end_on_sigterm()
    try:
        with Servers(os.environ, "run") as addresses:
            environ = {**os.environ, **addresses.as_test_environment()}
            return _command(command, environ)
    except MissingError as error:
        print(error, file=sys.stderr)
        return 2


def _command(command: list[str], environ: dict[str, str]) -> int:
    """Run to the end; when interrupted, let the command clean up before its servers go."""
    child = subprocess.Popen(command, env=environ)
    try:
        code = child.wait()
    except InterruptedBySignal as stop:
        if stop.number != signal.SIGINT:  # which a terminal sends to the command as well
            child.send_signal(signal.SIGINT)
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
    return code if code >= 0 else 128 - code


def _standing(word: str) -> int:
    end_on_sigterm()
    try:
        return standing.up() if word == "up" else standing.down()
    except (MissingError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
