# SPDX-License-Identifier: Apache-2.0
"""Settings of the login: complete, by TLS, and no secret that everybody knows."""

import pytest

from services.common.config import ConfigError, Settings
from services.common.web.people import LoginConfig, login_config, roles_of

GOOD = {
    "MOTCUA_PUBLIC_URL": "https://motcua.example/", "MOTCUA_OIDC_ISSUER": "https://id.example",
    "MOTCUA_OIDC_CLIENT_ID": "motcua247", "MOTCUA_OIDC_CLIENT_SECRET": "long-and-random-enough",
    "MOTCUA_SESSION_KEY": bytes(range(32)).hex(),
}  # fmt: skip


def read(**changed: str) -> LoginConfig:
    """Read the good settings with some changed."""
    settings = Settings({**GOOD, **changed})
    config = login_config(settings)
    settings.finish()
    return config


def test_good_settings() -> None:
    """Defaults for what is no secret."""
    config = read()
    assert (config.public_url, config.secure) == ("https://motcua.example", True)
    assert (config.roles_claim, config.session_s) == ("roles", 28_800)
    here = read(MOTCUA_PUBLIC_URL="http://127.0.0.1:8080", MOTCUA_OIDC_ISSUER="http://localhost:1")
    assert not here.secure


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MOTCUA_OIDC_CLIENT_SECRET", "changeme"), ("MOTCUA_OIDC_CLIENT_SECRET", ""),
        ("MOTCUA_SESSION_KEY", "00" * 32), ("MOTCUA_SESSION_KEY", "ab"),
        ("MOTCUA_PUBLIC_URL", "http://motcua.example"), ("MOTCUA_PUBLIC_URL", "ftp://x"),
        ("MOTCUA_PUBLIC_URL", "http://127.0.0.1.evil.example"),
        ("MOTCUA_OIDC_ISSUER", "http://id.example"), ("MOTCUA_SESSION_S", "59"),
    ],
)  # fmt: skip
def test_settings_that_are_refused(name: str, value: str) -> None:
    """By name: known or short secrets, plain http to anywhere else."""
    with pytest.raises(ConfigError) as caught:
        read(**{name: value})
    assert name in str(caught.value)


def test_roles_from_a_claim() -> None:
    """Known ones only, however deep; anything else gives none."""
    claims = {"roles": ["auditor", "root", 7], "realm": {"roles": ["operator"]}, "name": "auditor"}
    assert roles_of(claims, "roles") == {"auditor"}
    assert roles_of(claims, "realm.roles") == {"operator"}
    for path in ("name", "realm", "roles.auditor", "nothing.at.all"):
        assert roles_of(claims, path) == frozenset()
