# SPDX-License-Identifier: Apache-2.0
"""Who is looking: settings of the login, the session, and who may see what."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flask import session

from services.common.config import Settings

AUDITOR, OPERATOR, SUBSCRIBER_ADMIN = "auditor", "operator", "subscriber_admin"
ROLES: Final = (AUDITOR, OPERATOR, SUBSCRIBER_ADMIN)
SESSION_S: Final = 8 * 3_600
IDLE_S: Final = 3_600
_WHO: Final = "who"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginConfig:
    """Settings of pages with a login.

    Attributes:
        issuer: the identity provider, exactly as it calls itself.
        client_id: what we are called there.
        client_secret: ours.
        roles_claim: claim of the ID token that lists roles; dots lead into objects.
        public_url: how browsers reach the site; its scheme decides whether cookies are Secure.
        session_key: 32 bytes that sign sessions.
        session_s: seconds after which everybody logs in again.
    """

    issuer: str
    client_id: str
    client_secret: str
    roles_claim: str
    public_url: str
    session_key: bytes
    session_s: int

    @property
    def secure(self) -> bool:
        """Say whether browsers reach the site by TLS."""
        return self.public_url.startswith("https://")


def login_config(settings: Settings) -> LoginConfig:
    """Read the settings; the caller calls ``settings.finish``.

    Plain http is for a browser on the same machine only: for the site as for the provider.
    """
    public_url = settings.url("MOTCUA_PUBLIC_URL", ("http", "https")).rstrip("/")
    issuer = settings.url("MOTCUA_OIDC_ISSUER", ("http", "https"))
    for name, url in (("MOTCUA_PUBLIC_URL", public_url), ("MOTCUA_OIDC_ISSUER", issuer)):
        if url.startswith("http://") and not _is_here(url):
            settings.problems.append(f"{name}: must begin with https, but on this machine itself")
    return LoginConfig(
        issuer=issuer,
        client_id=settings.text("MOTCUA_OIDC_CLIENT_ID"),
        client_secret=settings.secret("MOTCUA_OIDC_CLIENT_SECRET"),
        roles_claim=settings.text("MOTCUA_OIDC_ROLES_CLAIM", "roles"),
        public_url=public_url,
        session_key=settings.key("MOTCUA_SESSION_KEY"),
        session_s=settings.whole("MOTCUA_SESSION_S", SESSION_S, low=60, high=86_400),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is logged in.

    Attributes:
        id: the provider's subject; stands in logs.
        name: what the page greets them by.
        roles: what they may do.
    """

    id: str
    name: str
    roles: frozenset[str]


def remember(person: Person, *, until_s: int, id_token: str) -> None:
    """Begin a session; whatever stood in an earlier one is gone."""
    session.clear()
    session.permanent = True
    roles = sorted(person.roles)
    session[_WHO] = {"id": person.id, "name": person.name, "roles": roles, "until": until_s}
    session["id_token"] = id_token


def person(now_s: float) -> Person | None:
    """Return who is logged in; None for nobody, or when the time is over."""
    known: Mapping[str, object] | None = session.get(_WHO)
    if known is None or not isinstance(until := known.get("until"), int) or now_s >= until:
        return None
    roles = known["roles"]
    assert isinstance(roles, list), "remember wrote it"
    return Person(id=str(known["id"]), name=str(known["name"]), roles=frozenset(roles))


def roles_of(claims: Mapping[str, object], path: str) -> frozenset[str]:
    """Return the known roles that a claim lists; none for anything else than a list of texts."""
    found: object = claims
    for word in path.split("."):
        found = found.get(word) if isinstance(found, Mapping) else None
    listed = found if isinstance(found, list) else []
    return frozenset(one for one in listed if one in ROLES)


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
