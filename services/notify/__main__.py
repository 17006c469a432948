# SPDX-License-Identifier: Apache-2.0
"""``python -m services.notify [feed | webhooks | web]``."""

import os
import sys

from services.common.config import run_configured


def main(words: list[str]) -> int:
    """Run one process of the service; returns its exit code."""
    if words == ["feed"]:
        from services.notify.web import server

        return server.serve(os.environ)
    if words == ["web"]:
        from services.notify.web.console import server as console

        return console.serve(os.environ)
    if words == ["webhooks"]:
        from services.notify.entrypoints import webhooks

        return webhooks.serve(os.environ)
    if words:
        print("usage: python -m services.notify [feed | webhooks | web]", file=sys.stderr)  # noqa: T201
        return 2
    # Patches the standard library first; nothing that imports psycopg may come before it.
    from services.notify.entrypoints import service  # isort: skip
    from services.notify.bootstrap import bootstrap
    from services.notify.config import read_config

    return service.serve(bootstrap(read_config(os.environ)))


if __name__ == "__main__":
    sys.exit(run_configured(main, sys.argv[1:]))
