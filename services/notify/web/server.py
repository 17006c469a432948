# SPDX-License-Identifier: Apache-2.0
"""The HTTP process of the feed: long polls, apart from everything else."""

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Final

from flask import Flask
from werkzeug.routing import BaseConverter

from services.common.errors import Malformed, Problem
from services.common.web.app import create_app
from services.common.web.server import Site
from services.common.web.server import serve as serve_site
from services.notify.config import FeedConfig, read_feed_config
from services.notify.feeding import THREADS, Feeding, make_feeding
from services.notify.web.feed import feed_routes

GRACE_S: Final = 1
"""A long poll holds nothing that a subscriber would miss."""


class _DayConverter(BaseConverter):
    regex = r"[^/]{1,40}"

    def to_python(self, value: str) -> object:
        """Return the day; 422 naming the field for anything else."""
        try:
            return date.fromisoformat(value)
        except ValueError:
            found = Problem("day", "not_a_day", "must be a day like 2026-11-27",
                            "phải là một ngày, ví dụ 2026-11-27")  # fmt: skip
            raise Malformed("path", (found,)) from None


def make_app(feeding: Feeding) -> Flask:
    """Return the application."""
    app, api = create_app("services.notify.web", "Một Cửa 24/7 events")
    app.url_map.converters["date"] = _DayConverter
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
