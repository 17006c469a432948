# SPDX-License-Identifier: Apache-2.0
"""Settings of notify."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.common.config import Settings
from services.common.runtime import CoreConfig, core_config


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
    """

    core: CoreConfig
    smpp_host: str
    smpp_port: int
    smpp_system_id: str
    smpp_password: str
    sms_sender: str


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
    )
    settings.finish()
    return config
