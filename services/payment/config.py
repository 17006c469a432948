# SPDX-License-Identifier: Apache-2.0
"""Settings of payment."""

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
        payos_checksum_key: verifies payOS notifications.
        bank_bin: six digits of the collecting body's bank.
        bank_account: its account.
        officials_file: JSON of officials' token digests.
        statement_url: where the bank's statement is asked for.
        statement_interval_s: seconds between two looks at it.
        receipt_symbol: the series of receipts that the collecting body registered.
    """

    core: CoreConfig
    http_port: int
    payos_checksum_key: str
    bank_bin: str
    bank_account: str
    officials_file: str
    receipt_symbol: str
    statement_url: str
    statement_interval_s: float


def read_config(environ: Mapping[str, str], *, web: bool) -> Config:
    """Read the environment; raises ConfigError listing every problem."""
    settings = Settings(environ)
    config = Config(
        core=core_config(settings, "payment"),
        http_port=settings.whole("MOTCUA_HTTP_PORT", low=1, high=65_535) if web else 0,
        payos_checksum_key=settings.secret("MOTCUA_PAYOS_CHECKSUM_KEY"),
        bank_bin=settings.text("MOTCUA_BANK_BIN"),
        bank_account=settings.text("MOTCUA_BANK_ACCOUNT"),
        officials_file=settings.path("MOTCUA_OFFICIALS_FILE") if web else "",
        receipt_symbol=settings.text("MOTCUA_RECEIPT_SYMBOL", default="BL"),
        statement_url=settings.text("MOTCUA_BANK_STATEMENT_URL"),
        statement_interval_s=settings.number(
            "MOTCUA_BANK_STATEMENT_INTERVAL_S", 60.0, low=0.5, high=86_400.0
        ),
    )
    settings.finish()
    return config
