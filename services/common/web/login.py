# SPDX-License-Identifier: Apache-2.0
"""Login by OpenID Connect: authorization code with PKCE, state, nonce and a checked ID token.

Nothing that the provider says about itself is taken on trust: its name has to be the configured
one, its signatures asymmetric, and a token ours, fresh and for this login.
"""

from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Blueprint, Flask, Response, g, make_response, redirect, request, session, url_for
from joserfc.errors import JoseError
from werkzeug.exceptions import Forbidden

from services.common.clock import Clock
from services.common.errors import Unavailable
from services.common.telemetry.logs import get_logger
from services.common.web.people import (
    LoginConfig,
    Person,
    remember,
    roles_of,
    subscribers_of,
)
from services.common.web.rendering import render

TIMEOUT_S: Final = 5
LEEWAY_S: Final = 30
"""How far two clocks may differ."""
SIGNATURES: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
_LOG = get_logger(__name__)


class Identity:
    """The identity provider, as its client sees it."""

    def __init__(self, app: Flask, config: LoginConfig, prefix: str) -> None:
        """Register the client; the provider is asked at the first login."""
        self._config = config
        self.session_s = config.session_s
        self._back = f"{config.public_url}{prefix}/login/back"
        self._client = OAuth(app).register(
            "identity", client_id=config.client_id, client_secret=config.client_secret,
            server_metadata_url=f"{config.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid profile", "code_challenge_method": "S256",
                "default_timeout": TIMEOUT_S,
            },
        )  # fmt: skip

    def leave(self) -> Response:
        """Return the redirect to the provider.

        Raises:
            Unavailable: the provider does not answer, or not as the configured one.
        """
        self._metadata()
        return make_response(self._client.authorize_redirect(self._back))

    def come_back(self) -> tuple[Person, str]:
        """Return who came back from the provider, and their ID token.

        Raises:
            Forbidden: the login was broken off, is not the one that began here, or its token is
                not ours, not signed by the provider or too old.
            Unavailable: as ``leave``.
        """
        metadata = self._metadata()
        wanted = {
            "iss": {"essential": True, "value": metadata["issuer"]},
            "aud": {"essential": True, "value": self._config.client_id},
        }
        try:
            token = self._client.authorize_access_token(claims_options=wanted, leeway=LEEWAY_S)
            claims: Mapping[str, object] = token["userinfo"]
        except requests.RequestException as error:
            raise Unavailable("identity provider", type(error).__name__) from error
        except (OAuthError, JoseError, KeyError, ValueError) as error:
            _LOG.warning("login_refused", error=type(error).__name__)
            raise Forbidden("this login was not accepted; begin again") from error
        who = str(claims["sub"])
        name = str(claims.get("name") or claims.get("preferred_username") or who)
        roles = roles_of(claims, self._config.roles_claim)
        theirs = subscribers_of(claims, self._config.subscribers_claim)
        found = Person(id=who, name=name[:64], roles=roles, subscribers=theirs)
        return found, str(token["id_token"])

    def end_url(self, id_token: str, back: str) -> str | None:
        """Return where the provider ends its own session too; None where it cannot."""
        if "end_session_endpoint" not in self._metadata():
            return None
        ended: dict[str, str] = self._client.create_logout_url(
            f"{self._config.public_url}{back}", id_token_hint=id_token,
            client_id=self._config.client_id,
        )  # fmt: skip
        return ended["url"]

    def _metadata(self) -> dict[str, Any]:
        try:
            metadata = cast("dict[str, Any]", self._client.load_server_metadata())
        except (requests.RequestException, ValueError) as error:
            raise Unavailable("identity provider", type(error).__name__) from error
        if metadata.get("issuer") != self._config.issuer:
            raise Unavailable("identity provider", "it calls itself otherwise")
        key = "id_token_signing_alg_values_supported"
        metadata[key] = [one for one in metadata.get(key, ["RS256"]) if one in SIGNATURES]
        return metadata


def login_routes(blueprint: Blueprint, identity: Identity, clock: Clock, *, area: str) -> None:
    """Add login and logout to an area's blueprint."""

    def login() -> Response:
        """Say where one is and offer the login."""
        return render("shell/login.html", next=_own(request.args.get("next"), area),
                      out="out" in request.args)  # fmt: skip

    def login_start() -> Response:
        """Go to the provider, and remember where to come back to."""
        way = _own(request.args.get("next"), area)
        session.clear()
        response = identity.leave()
        session["next"] = way
        return response

    def login_back() -> Response:
        """Come back from the provider."""
        way = _own(session.get("next"), area)
        person, id_token = identity.come_back()
        until_s = int(clock.now().timestamp()) + identity.session_s
        remember(person, until_s=until_s, id_token=id_token)
        _LOG.info("logged_in", person=person.id, roles=sorted(person.roles))
        return make_response(redirect(way, 303))

    def logout() -> Response:
        """End the session here, then at the provider."""
        id_token, back = str(session.get("id_token", "")), url_for(f"{area}.login", out=1)
        if g.get("person") is not None:
            _LOG.info("logged_out", person=g.person.id)
        session.clear()
        try:
            way = identity.end_url(id_token, back) if id_token else None
        except Unavailable:
            way = None
        return make_response(redirect(way or back, 303))

    blueprint.add_url_rule("/login", "login", login)
    blueprint.add_url_rule("/login/start", "login_start", login_start)
    blueprint.add_url_rule("/login/back", "login_back", login_back)
    blueprint.add_url_rule("/logout", "logout", logout, methods=["POST"])


def _own(way: object, area: str) -> str:
    """Return ``way`` where it is a path of the area, else the area's first page."""
    prefix, text = f"/{area}", str(way or "")
    parts = urlsplit(text)
    inside = parts.path == prefix or parts.path.startswith(f"{prefix}/")
    if parts.scheme or parts.netloc or not inside or "\\" in text or not text.isprintable():
        return prefix
    return text
