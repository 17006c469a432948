# SPDX-License-Identifier: Apache-2.0
"""Settings of intake."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.common.config import Settings
from services.common.runtime import CoreConfig, core_config


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the service's processes need.

    Attributes:
        core: what every service has.
        http_port: port of the web process.
        one_stop_url: address of the one-stop system.
        one_stop_session: its session secret.
        second_offices: offices whose one-stop system speaks the interface of 2026.
        second_url: address of that system, empty where no office is on it.
        second_client: what this platform is called there.
        second_secret: the client's secret.
        officials_file: JSON of officials' token digests.
        pull_interval_s: seconds between two looks for results to be returned.
    """

    core: CoreConfig
    http_port: int
    one_stop_url: str
    one_stop_session: str
    second_offices: tuple[str, ...] = ()
    second_url: str = ""
    second_client: str = ""
    second_secret: str = ""
    officials_file: str
    pull_interval_s: float


def read_config(environ: Mapping[str, str], *, web: bool) -> Config:
    """Read the environment; raises ConfigError listing every problem."""
    settings = Settings(environ)
    listed = environ.get("MOTCUA_ONE_STOP_2026_OFFICES", "").replace(",", " ")
    second = tuple(listed.split())
    config = Config(
        core=core_config(settings, "intake"),
        http_port=settings.whole("MOTCUA_HTTP_PORT", low=1, high=65_535) if web else 0,
        one_stop_url=settings.url("MOTCUA_ONE_STOP_URL", ("http", "https")),
        one_stop_session=settings.secret("MOTCUA_ONE_STOP_SESSION"),
        second_offices=second,
        second_url=settings.url("MOTCUA_ONE_STOP_2026_URL", ("http", "https")) if second else "",
        second_client=settings.text("MOTCUA_ONE_STOP_2026_CLIENT") if second else "",
        second_secret=settings.secret("MOTCUA_ONE_STOP_2026_SECRET") if second else "",
        officials_file=settings.path("MOTCUA_OFFICIALS_FILE") if web else "",
        pull_interval_s=settings.number("MOTCUA_PULL_INTERVAL_S", 30.0, low=0.1, high=3600.0),
    )
    settings.finish()
    return config
