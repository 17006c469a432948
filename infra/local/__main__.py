# SPDX-License-Identifier: Apache-2.0
"""``python -m infra.local up | down | run -- COMMAND``: servers and processes of one machine."""

import os
import subprocess
import sys
from typing import Final

from infra.local import standing
from infra.local.servers import Servers
from infra.local.system import MissingError, end_on_sigterm

USAGE: Final = "usage: python -m infra.local up | down | run -- COMMAND [WORD …]"


def main(words: list[str]) -> int:
    """Run the command; returns its exit code, 2 for wrong words or a missing server."""
    if words in (["up"], ["down"]):
        return _standing(words[0])
    if words[:2] != ["run", "--"] or not words[2:]:
        print(USAGE, file=sys.stderr)
        return 2
    end_on_sigterm()
    try:
        with Servers(os.environ, "run") as addresses:
            environ = {**os.environ, **addresses.as_test_environment()}
            return subprocess.run(words[2:], check=False, env=environ).returncode
    except MissingError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _standing(word: str) -> int:
    try:
        return standing.up() if word == "up" else standing.down()
    except (MissingError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
