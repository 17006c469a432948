# SPDX-License-Identifier: Apache-2.0
"""The feed as it will answer tomorrow: today's certificate is given when today is over."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread
from typing import Final

from werkzeug.serving import make_server

from infra.local.settings import LOG_ID, Stack
from services.common.clock import SystemClock
from services.common.runtime import ReadConfig
from services.notify.adapters.checkpoints import PostgresCheckpoints
from services.notify.application.certificates import Certificates, certificate_signer
from services.notify.config import FeedConfig
from services.notify.feeding import make_feeding
from services.notify.web.server import make_app

AHEAD: Final = timedelta(days=1, minutes=10)


class Ahead(SystemClock):
    """The clock of the machine, a day ahead."""

    def now(self) -> datetime:
        """Return what the wall clock will show."""
        return super().now() + AHEAD


@contextmanager
def tomorrows_feed(local: Stack) -> Iterator[str]:
    """Serve; gives the feed's address."""
    url, key = local.database_url("motcua_feed"), certificate_key(local)
    read = ReadConfig(
        service="feed", log_id=LOG_ID, metrics_port=0, http_host="127.0.0.1", log_format=None,
        database_url=url,
    )  # fmt: skip
    feeding = make_feeding(FeedConfig(read=read, http_port=1, certificate_key=key))
    checkpoints = PostgresCheckpoints(url, LOG_ID)
    certificates = Certificates(
        feeding.runtime.log, checkpoints, Ahead(), certificate_signer(LOG_ID, key)
    )
    app = make_app(replace(feeding, certificates=certificates))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        checkpoints.close()
        feeding.runtime.log.close()


def certificate_key(local: Stack) -> bytes:
    """Return the seed of the key that signs certificates."""
    return bytes.fromhex(local.secret("certificate_key").read_text())
