# SPDX-License-Identifier: Apache-2.0
"""Who is looking: settings of the login, the session, and who may see what."""

import ipaddress
import re
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
SUBSCRIBERS_MAX: Final = 20
"""So many subscribers one person can look after; the session lies in a cookie."""
_WHO: Final = "who"
_NAME: Final = re.compile(r"[a-z0-9-]{1,60}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginConfig:
    """Settings of pages with a login.

    Attributes:
        issuer: the identity provider, exactly as it calls itself.
        client_id: what we are called there.
        client_secret: ours.
        roles_claim: claim of the ID token that lists roles; dots lead into objects.
        subscribers_claim: claim that lists the subscribers somebody looks after, in the same way.
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
    subscribers_claim: str = "subscribers"

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
        subscribers_claim=settings.text("MOTCUA_OIDC_SUBSCRIBERS_CLAIM", "subscribers"),
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
        subscribers: names of the subscribers whose technician they are.
    """

    id: str
    name: str
    roles: frozenset[str]
    subscribers: frozenset[str] = frozenset()


def remember(person: Person, *, until_s: int, id_token: str) -> None:
    """Begin a session; whatever stood in an earlier one is gone."""
    session.clear()
    session.permanent = True
    session[_WHO] = {
        "id": person.id, "name": person.name, "roles": sorted(person.roles), "until": until_s,
        "subscribers": sorted(person.subscribers),
    }  # fmt: skip
    session["id_token"] = id_token


def person(now_s: float) -> Person | None:
    """Return who is logged in; None for nobody, or when the time is over."""
    known: Mapping[str, object] | None = session.get(_WHO)
    if known is None or not isinstance(until := known.get("until"), int) or now_s >= until:
        return None
    roles, theirs = known["roles"], known.get("subscribers", [])
    assert isinstance(roles, list), "remember wrote it"
    assert isinstance(theirs, list), "remember wrote it"
    return Person(
        id=str(known["id"]), name=str(known["name"]), roles=frozenset(roles),
        subscribers=frozenset(theirs),
    )  # fmt: skip


def roles_of(claims: Mapping[str, object], path: str) -> frozenset[str]:
    """Return the known roles that a claim lists; none for anything else than a list of texts."""
    return frozenset(one for one in _listed(claims, path) if one in ROLES)


def subscribers_of(claims: Mapping[str, object], path: str) -> frozenset[str]:
    """Return the subscribers that a claim lists, ``SUBSCRIBERS_MAX`` at most."""
    texts = [one for one in _listed(claims, path) if isinstance(one, str)]
    return frozenset([one for one in texts if _NAME.fullmatch(one)][:SUBSCRIBERS_MAX])


def _listed(claims: Mapping[str, object], path: str) -> list[object]:
    found: object = claims
    for word in path.split("."):
        found = found.get(word) if isinstance(found, Mapping) else None
    return found if isinstance(found, list) else []


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
