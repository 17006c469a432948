# SPDX-License-Identifier: Apache-2.0
"""An installation of one's own for a run: made for it, gone after it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from infra.local import settings
from infra.local.servers import Servers, data_folder
from infra.local.settings import Stack


@contextmanager
def fresh_stack(servers: Servers) -> Iterator[Stack]:
    """Start ``servers`` and lend an installation with settings of its own on them.

    Nothing is prepared or started in it yet. Its folder goes when the block ends, unless
    ``MOTCUA_KEEP`` is set: then it stays for a look at its logs.
    """
    with servers as addresses:
        folder = data_folder("stack")
        try:
            yield settings.make_stack(folder, addresses)
        finally:
            if not os.environ.get("MOTCUA_KEEP"):
                shutil.rmtree(folder, ignore_errors=True)
