# SPDX-License-Identifier: Apache-2.0
"""Settings of the auditors' pages, read once at start."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.common.config import Settings
from services.common.integrity.notes import NoteError, VerifierKey
from services.common.runtime import ReadConfig
from services.common.runtime import read_config as read_only
from services.common.web.people import LoginConfig, login_config


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    """Everything the process needs; its database login is ``motcua_audit_web``.

    Attributes:
        read: log and listening address.
        http_port: port of the pages.
        login: identity provider, session.
        trusted: keys of the sealer and of witnesses by which signatures are checked.
    """

    read: ReadConfig
    http_port: int
    login: LoginConfig
    trusted: tuple[VerifierKey, ...]


def read_config(environ: Mapping[str, str]) -> AuditConfig:
    """Read the environment; raises ConfigError listing every problem."""
    settings = Settings(environ)
    config = AuditConfig(
        read=read_only(settings, "audit_web"),
        http_port=settings.whole("MOTCUA_HTTP_PORT", low=1, high=65_535),
        login=login_config(settings),
        trusted=_keys(settings),
    )
    settings.finish()
    return config


def _keys(settings: Settings) -> tuple[VerifierKey, ...]:
    """Read verifier keys, one a line; blank lines are left out."""
    text = settings.text("MOTCUA_TRUSTED_KEYS")
    try:
        return tuple(VerifierKey.parse(line) for line in text.split("\n") if line.strip())
    except NoteError as error:
        settings.problems.append(f"MOTCUA_TRUSTED_KEYS: {error}")
        return ()
