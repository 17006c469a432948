# SPDX-License-Identifier: Apache-2.0
"""The HTTP process of the feed: long polls, apart from everything else."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from flask import Flask

from services.common.web.app import create_app
from services.common.web.server import Site
from services.common.web.server import serve as serve_site
from services.notify.config import FeedConfig, read_feed_config
from services.notify.feeding import THREADS, Feeding, make_feeding
from services.notify.web.feed import feed_routes

GRACE_S: Final = 1
"""A long poll holds nothing that a subscriber would miss."""


def make_app(feeding: Feeding) -> Flask:
    """Return the application."""
    app, api = create_app("services.notify.web", "Một Cửa 24/7 events")
    api.register_blueprint(feed_routes(feeding))
    return app


def serve(environ: Mapping[str, str]) -> int:
    """Run until SIGTERM; returns the exit code."""
    config = read_feed_config(environ)
    return serve_site(
        partial(_site, config), host=config.read.http_host, port=config.http_port, threads=THREADS,
        grace_s=GRACE_S,
    )  # fmt: skip


def _site(config: FeedConfig) -> Site:
    feeding = make_feeding(config)
    return Site(make_app(feeding), feeding.runtime)
