# SPDX-License-Identifier: Apache-2.0
"""``python -m services.intake [web]``."""

import os
import sys

from services.common.config import run_configured

USAGE = "usage: python -m services.intake [web]"


def main(words: list[str]) -> int:
    """Run one process of the service; returns its exit code."""
    if words == ["web"]:
        from services.intake.web import server

        return server.serve(os.environ)
    if words:
        print(USAGE, file=sys.stderr)  # noqa: T201
        return 2
    # Patches the standard library first; nothing that imports psycopg may come before it.
    from services.intake.entrypoints import service  # isort: skip
    from services.intake.bootstrap import bootstrap
    from services.intake.config import read_config

    return service.serve(bootstrap(read_config(os.environ, web=False)))


if __name__ == "__main__":
    sys.exit(run_configured(main, sys.argv[1:]))
