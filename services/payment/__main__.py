# SPDX-License-Identifier: Apache-2.0
"""``python -m services.payment [web]``."""

import os
import sys

from services.common.config import run_configured

USAGE = "usage: python -m services.payment [web]"


def main(words: list[str]) -> int:
    """Run one process of the service; returns its exit code."""
    if words == ["web"]:
        from services.payment.web import server

        return server.serve(os.environ)
    if words:
        print(USAGE, file=sys.stderr)  # noqa: T201
        return 2
    # Patches the standard library first; nothing that imports psycopg may come before it.
    from services.payment.entrypoints import service  # isort: skip
    from services.payment.bootstrap import bootstrap
    from services.payment.config import read_config

    return service.serve(bootstrap(read_config(os.environ, web=False)))


if __name__ == "__main__":
    sys.exit(run_configured(main, sys.argv[1:]))
