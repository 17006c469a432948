# SPDX-License-Identifier: Apache-2.0
"""Settings of notify."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from services.common.config import Settings
from services.common.runtime import CoreConfig, ReadConfig, core_config, log_format
from services.common.runtime import read_config as read_only
from services.common.web.people import LoginConfig, login_config

Network = IPv4Network | IPv6Network

PREFIX_MIN: Final = 8
"""A wider network of receivers would leave nothing forbidden."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleConfig:
    """Everything the subscribers' pages need; their database login is ``motcua_notify``.

    Attributes:
        read: log and listening address.
        http_port: port of the pages.
        login: identity provider, session.
        service_key: 32 bytes that key request digests.
        amqp_url: login to the broker that may do nothing; queues are looked at.
    """

    read: ReadConfig
    http_port: int
    login: LoginConfig
    service_key: bytes
    amqp_url: str


def read_console_config(environ: Mapping[str, str]) -> ConsoleConfig:
    """Read the environment; raises ConfigError listing every problem."""
    settings = Settings(environ)
    config = ConsoleConfig(
        read=read_only(settings, "notify"),
        http_port=settings.whole("MOTCUA_HTTP_PORT", low=1, high=65_535),
        login=login_config(settings),
        service_key=settings.key("MOTCUA_SERVICE_KEY"),
        amqp_url=settings.url("MOTCUA_AMQP_URL", ("amqp", "amqps")),
    )
    settings.finish()
    return config


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig:
    """Everything the webhooks' process needs; its database login is ``motcua_notify``.

    Attributes:
        log_id: which province's log.
        database_url: log, progress and delivery log.
        service_key: 32 bytes that key request digests.
        webhook_key: 32 bytes that webhook secrets are derived from.
        networks: where webhooks may go besides the internet; none in an ordinary installation.
        ca_file: certificates that receivers are checked with; the machine's own when None.
        timeout_s: for one attempt, from the look-up of the name to the end of the answer.
        pause_first_s: wait after the first failure; doubles.
        patience_s: so long an event may fail before its webhook is suspended.
        confirm_s: seconds between two confirmations in the log.
        metrics_port: /metrics, /healthz, /readyz.
        log_format: ``json``, ``console`` or None for automatic.
    """

    log_id: int
    database_url: str
    service_key: bytes
    webhook_key: bytes
    networks: tuple[Network, ...]
    ca_file: str | None
    timeout_s: float
    pause_first_s: float
    patience_s: float
    confirm_s: float
    metrics_port: int
    log_format: str | None


def read_webhook_config(environ: Mapping[str, str]) -> WebhookConfig:
    """Read the environment; raises ConfigError listing every problem."""
    settings = Settings(environ)
    config = WebhookConfig(
        log_id=settings.whole("MOTCUA_LOG_ID", low=1),
        database_url=settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres")),
        service_key=settings.key("MOTCUA_SERVICE_KEY"),
        webhook_key=settings.key("MOTCUA_WEBHOOK_KEY"),
        networks=read_networks(settings),
        ca_file=settings.path("MOTCUA_WEBHOOK_CA_FILE")
        if "MOTCUA_WEBHOOK_CA_FILE" in environ
        else None,
        timeout_s=settings.number("MOTCUA_WEBHOOK_TIMEOUT_S", 10.0, low=0.1, high=30.0),
        pause_first_s=settings.number("MOTCUA_WEBHOOK_PAUSE_FIRST_S", 2.0, low=0.01, high=600.0),
        patience_s=settings.number(
            "MOTCUA_WEBHOOK_PATIENCE_S", 86_400.0, low=1.0, high=7 * 86_400.0
        ),
        confirm_s=settings.number("MOTCUA_WEBHOOK_CONFIRM_S", 3600.0, low=0.1, high=86_400.0),
        metrics_port=settings.whole("MOTCUA_METRICS_PORT", high=65_535),
        log_format=log_format(settings),
    )
    settings.finish()
    return config


def read_networks(settings: Settings) -> tuple[Network, ...]:
    """Return the networks that webhooks may go to besides the internet; the caller finishes."""
    text = settings.environ.get("MOTCUA_WEBHOOK_NETWORKS", "")
    try:
        found = tuple(ip_network(word.strip()) for word in text.split(",") if word.strip())
    except ValueError as error:
        settings.problems.append(f"MOTCUA_WEBHOOK_NETWORKS: {error}")
        return ()
    if any(network.prefixlen < PREFIX_MIN for network in found):
        settings.problems.append(f"MOTCUA_WEBHOOK_NETWORKS: wider than /{PREFIX_MIN}")
    return found
