# SPDX-License-Identifier: Apache-2.0
"""The browser in which pages are tested: Debian's Chromium, installed where it is missing.

``python -m infra.local.browser`` before the tests; standard library only, as there may be no
virtual environment yet.
"""

import shutil
import sys
from typing import Final

from infra.local.system import MissingError, install

PACKAGE: Final = "chromium"
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""Nothing but the pages under test is fetched; root may run it."""
_OTHERWISE: Final = "or put another Chromium named chromium on the path"


def program() -> str | None:
    """Return the browser's path, or None where there is none."""
    return shutil.which(PACKAGE)


def check() -> int:
    """Install the browser where it is missing; returns the exit code, 2 where that is not allowed.

    What is missing is said before minutes of set-up.
    """
    try:
        if program() is None:
            install((PACKAGE,), _OTHERWISE)
    except MissingError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(check())
