# SPDX-License-Identifier: Apache-2.0
"""``python -m services.kiosk_sync [web|downlink]``."""

import os
import sys

from services.common.config import run_configured

USAGE = "usage: python -m services.kiosk_sync [web|downlink]"


def main(words: list[str]) -> int:
    """Run one process of the service; returns its exit code."""
    if words in (["web"], ["downlink"]):
        from services.kiosk_sync.web import server

        return server.serve(os.environ, words[0])
    if words:
        print(USAGE, file=sys.stderr)  # noqa: T201
        return 2
    # Patches the standard library first; nothing that imports psycopg may come before it.
    from services.kiosk_sync.entrypoints import service  # isort: skip
    from services.kiosk_sync.bootstrap import bootstrap
    from services.kiosk_sync.config import read_config

    return service.serve(bootstrap(read_config(os.environ, web=False)))


if __name__ == "__main__":
    sys.exit(run_configured(main, sys.argv[1:]))
