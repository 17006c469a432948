# SPDX-License-Identifier: Apache-2.0
"""``python -m services.auditing``."""

import os
import sys

from services.auditing.web import server
from services.common.config import run_configured


def main(words: list[str]) -> int:
    """Run the pages' process; returns its exit code."""
    if words:
        print("usage: python -m services.auditing", file=sys.stderr)  # noqa: T201
        return 2
    return server.serve(os.environ)


if __name__ == "__main__":
    sys.exit(run_configured(main, sys.argv[1:]))
