# SPDX-License-Identifier: Apache-2.0
"""Settings of kiosk_sync."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.common.config import Settings
from services.common.runtime import CoreConfig, core_config

LEASE_S: Final = 86_400
LATE_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the service's processes need.

    Attributes:
        core: what every service has.
        http_port: port of the web process.
        central_sign_key: Ed25519 seed; signs orders to machines.
        central_box_key: X25519 key; opens data keys that machines send.
        tls_cert: server certificate for machines; empty without TLS settings (Nameko process).
        tls_key: its private key.
        client_ca: authority of machines' certificates.
        money_lease_s: for how long a machine may take cash without hearing from the centre.
        seal_late_s: with sealing further behind no lease is given.
    """

    core: CoreConfig
    http_port: int
    central_sign_key: bytes
    central_box_key: bytes
    tls_cert: str
    tls_key: str
    client_ca: str
    money_lease_s: int = LEASE_S
    seal_late_s: int = LATE_S


def read_config(environ: Mapping[str, str], *, web: bool) -> Config:
    """Read the environment; raises ConfigError listing every problem."""
    settings = Settings(environ)
    config = Config(
        core=core_config(settings, "kiosk_sync"),
        http_port=settings.whole("MOTCUA_HTTP_PORT", low=1, high=65_535) if web else 0,
        central_sign_key=settings.key("MOTCUA_CENTRAL_SIGN_KEY"),
        central_box_key=settings.key("MOTCUA_CENTRAL_BOX_KEY"),
        tls_cert=settings.path("MOTCUA_TLS_CERT_FILE") if web else "",
        tls_key=settings.path("MOTCUA_TLS_KEY_FILE") if web else "",
        client_ca=settings.path("MOTCUA_TLS_CLIENT_CA_FILE") if web else "",
        money_lease_s=settings.whole("MOTCUA_MONEY_LEASE_S", LEASE_S, low=60, high=7 * 86_400),
        seal_late_s=settings.whole("MOTCUA_SEAL_LATE_S", LATE_S, low=5, high=86_400),
    )
    settings.finish()
    return config
