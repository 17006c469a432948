# SPDX-License-Identifier: Apache-2.0
"""Settings of notify."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.common.config import Settings
from services.common.runtime import CoreConfig, ReadConfig, core_config
from services.common.runtime import read_config as read_only


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the service's process needs.

    Attributes:
        core: what every service has.
        smpp_host: SMS centre.
        smpp_port: its port.
        smpp_system_id: login.
        smpp_password: at most 8 characters (SMPP 3.4).
        sms_sender: registered brand name.
        remind_before_s: how long before a right to collect runs out the citizen is reminded.
        reminder_interval_s: seconds between two looks for reminders.
        quiet_from_hour: from then on nobody is reminded, in Vietnam.
        quiet_to_hour: until then.
    """

    core: CoreConfig
    smpp_host: str
    smpp_port: int
    smpp_system_id: str
    smpp_password: str
    sms_sender: str
    remind_before_s: float
    reminder_interval_s: float
    quiet_from_hour: int
    quiet_to_hour: int


def read_config(environ: Mapping[str, str]) -> Config:
    """Read the environment; raises ConfigError listing every problem."""
    settings = Settings(environ)
    config = Config(
        core=core_config(settings, "notify"),
        smpp_host=settings.text("MOTCUA_SMPP_HOST"),
        smpp_port=settings.whole("MOTCUA_SMPP_PORT", low=1, high=65_535),
        smpp_system_id=settings.text("MOTCUA_SMPP_SYSTEM_ID"),
        smpp_password=settings.text("MOTCUA_SMPP_PASSWORD"),
        sms_sender=settings.text("MOTCUA_SMS_SENDER"),
        remind_before_s=settings.number(
            "MOTCUA_REMIND_BEFORE_S", 86_400.0, low=0.0, high=30 * 86_400.0
        ),
        reminder_interval_s=settings.number(
            "MOTCUA_REMINDER_INTERVAL_S", 60.0, low=0.1, high=3600.0
        ),
        quiet_from_hour=settings.whole("MOTCUA_QUIET_FROM_HOUR", 21, high=23),
        quiet_to_hour=settings.whole("MOTCUA_QUIET_TO_HOUR", 7, high=23),
    )
    settings.finish()
    return config


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedConfig:
    """Everything the feed's process needs; its database login is ``motcua_feed``.

    Attributes:
        read: log and listening address.
        http_port: port of the feed.
        certificate_key: Ed25519 seed; signs certificates of completeness.
    """

    read: ReadConfig
    http_port: int
    certificate_key: bytes


def read_feed_config(environ: Mapping[str, str]) -> FeedConfig:
    """Read the environment; raises ConfigError listing every problem."""
    settings = Settings(environ)
    config = FeedConfig(
        read=read_only(settings, "feed"),
        http_port=settings.whole("MOTCUA_HTTP_PORT", low=1, high=65_535),
        certificate_key=settings.key("MOTCUA_CERTIFICATE_KEY"),
    )
    settings.finish()
    return config
