# SPDX-License-Identifier: Apache-2.0
"""The two HTTP processes of kiosk_sync: uploads, and long polls for orders."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from flask import Flask

from services.common.web.app import create_app
from services.common.web.server import TLS, Site
from services.common.web.server import serve as serve_site
from services.kiosk_sync.bootstrap import KioskSync, bootstrap
from services.kiosk_sync.config import Config, read_config
from services.kiosk_sync.web.machines import journal_routes, order_routes

THREADS: Final = {"web": 16, "downlink": 64}
# A long poll holds nothing that a machine would miss, so its process need not wait for it.
GRACE_S: Final = {"web": 15, "downlink": 1}
_ROUTES: Final = {"web": journal_routes, "downlink": order_routes}


def make_app(service: KioskSync, kind: str) -> Flask:
    """Return the application of process ``kind`` (``web`` or ``downlink``)."""
    app, api = create_app("services.kiosk_sync.web", "Một Cửa 24/7 kiosk_sync")
    api.register_blueprint(_ROUTES[kind](service))
    return app


def serve(environ: Mapping[str, str], kind: str) -> int:
    """Run process ``kind`` until SIGTERM; returns the exit code."""
    config = read_config(environ, web=True)
    tls = TLS(config.tls_cert, config.tls_key, config.client_ca)
    site = partial(_site, config, kind)
    return serve_site(
        site,
        host=config.core.http_host,
        port=config.http_port,
        threads=THREADS[kind],
        tls=tls,
        grace_s=GRACE_S[kind],
    )


def _site(config: Config, kind: str) -> Site:
    service = bootstrap(config)
    return Site(make_app(service, kind), service.runtime)
