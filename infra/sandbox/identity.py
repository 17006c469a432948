# SPDX-License-Identifier: Apache-2.0
"""An identity provider: OpenID Connect with discovery, PKCE, signed ID tokens, logout.

``python -m infra.sandbox.identity --port N --client ID --secret-file FILE --back PREFIX …``

Whoever logs in chooses a demonstration person from a list; there are no passwords.
``POST /control/faults`` orders what the next ID tokens are wrong about, one each.
"""

import argparse
import base64
import hashlib
import hmac
import secrets
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, make_response, redirect, render_template_string, request
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

FAULTS: Final = ("signature", "none", "nonce", "audience", "issuer", "expired", "silent")
"""The next ID token is signed by another key, not at all, for another login, for another client, by
another provider, too old; or there is none."""
CODE_S: Final = 60
TOKEN_S: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPerson:
    """Somebody to choose."""

    id: str
    name: str
    what: str
    roles: tuple[str, ...]
    subscribers: tuple[str, ...] = ()


PEOPLE: Final = (
    DemoPerson(id="kt001", name="Lê Thị Kiểm", what="kiểm toán viên · auditor", roles=("auditor",)),
    DemoPerson(
        id="vh001", name="Trần Văn Hành", what="vận hành · operator", roles=("operator",)
    ),
    DemoPerson(
        id="dl001", name="Phạm Thị Nhận", what="kỹ thuật của bên đăng ký ioc · technician of ioc",
        roles=("subscriber_admin",), subscribers=("ioc",),
    ),
    DemoPerson(
        id="qt001", name="Ngô Văn Quản", what="mọi vai trò · all roles",
        roles=("auditor", "operator", "subscriber_admin"),
    ),
    DemoPerson(id="cb001", name="Võ Thị Công", what="không vai trò · no role", roles=()),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    person: DemoPerson
    nonce: str
    challenge: str
    back: str
    until_s: float


class Provider:
    """Issues codes and tokens; keeps everything in memory."""

    def __init__(self, issuer: str, client: str, secret: str, backs: list[str]) -> None:
        """Make a key for this run.

        Args:
            issuer: own address.
            client: the one client's id.
            secret: its secret.
            backs: prefixes of the addresses that it may be sent back to.
        """
        self._issuer, self._client, self._secret, self._backs = issuer, client, secret, backs
        self._key = RSAKey.generate_key(2048, {"use": "sig", "kid": secrets.token_hex(8)})
        self._codes: dict[str, _Asked] = {}
        self._tokens: dict[str, DemoPerson] = {}
        self._faults: list[str] = []
        self._lock = threading.Lock()

    def app(self) -> Flask:
        """Return its pages and calls."""
        app = Flask("identity")
        app.json.ensure_ascii = False  # type: ignore[attr-defined] # of the default provider
        rules: dict[str, tuple[Any, str]] = {
            "/.well-known/openid-configuration": (self.discovery, "GET"),
            "/jwks": (self.jwks, "GET"), "/healthz": (lambda: jsonify(alive=True), "GET"),
            "/authorize": (self.authorize, "GET"), "/choose": (self.choose, "POST"),
            "/token": (self.token, "POST"), "/userinfo": (self.userinfo, "GET"),
            "/logout": (self.logout, "GET"), "/control/faults": (self.faults, "POST"),
        }  # fmt: skip
        for rule, (view, method) in rules.items():
            app.add_url_rule(rule, rule, view, methods=[method])
        return app

    def discovery(self) -> Response:
        """Say what it can and where."""
        at = self._issuer
        return jsonify(
            issuer=at, authorization_endpoint=f"{at}/authorize", token_endpoint=f"{at}/token",
            userinfo_endpoint=f"{at}/userinfo", jwks_uri=f"{at}/jwks",
            end_session_endpoint=f"{at}/logout", response_types_supported=["code"],
            subject_types_supported=["public"], scopes_supported=["openid", "profile"],
            id_token_signing_alg_values_supported=["RS256", "none"],
            code_challenge_methods_supported=["S256"],
            token_endpoint_auth_methods_supported=["client_secret_basic"],
        )  # fmt: skip

    def jwks(self) -> Response:
        """Publish the key."""
        return jsonify(keys=[self._key.as_dict(private=False)])

    def authorize(self) -> Response:
        """Offer the people."""
        wrong = self._wrong_question()
        if wrong:
            return make_response(f"{wrong}\n", 400)
        page = render_template_string(_CHOICE, people=PEOPLE, asked=request.args)
        return make_response(page)

    def choose(self) -> Response:
        """Send whoever was chosen back with a code."""
        asked = request.form
        known = {one.id: one for one in PEOPLE}
        back = asked.get("redirect_uri", "")
        if not self._is_ours(back):
            return make_response("redirect_uri: not registered\n", 400)
        if asked.get("person") not in known:
            answer = {"error": "access_denied", "state": asked.get("state", "")}
        else:
            code = secrets.token_urlsafe(24)
            with self._lock:
                self._codes[code] = _Asked(
                    person=known[asked["person"]], nonce=asked.get("nonce", ""), back=back,
                    challenge=asked.get("code_challenge", ""), until_s=time.time() + CODE_S,
                )  # fmt: skip
            answer = {"code": code, "state": asked.get("state", ""), "iss": self._issuer}
        return make_response(redirect(f"{back}?{urlencode(answer)}", 303))

    def token(self) -> Response:
        """Give tokens for a code, once."""
        login = request.authorization
        if login is None or not (
            login.username == self._client
            and hmac.compare_digest(str(login.password), self._secret)
        ):
            return _error("invalid_client", 401)
        with self._lock:
            asked = self._codes.pop(request.form.get("code", ""), None)
            fault = self._faults.pop(0) if asked and self._faults else ""
        verifier = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if asked is None or asked.until_s < time.time() or challenge != asked.challenge:
            return _error("invalid_grant", 400)
        if request.form.get("redirect_uri") != asked.back:
            return _error("invalid_grant", 400)
        access = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[access] = asked.person
        tokens = {"access_token": access, "token_type": "Bearer", "expires_in": TOKEN_S}
        if fault != "silent":
            tokens["id_token"] = self._id_token(asked, fault)
        return jsonify(tokens)

    def userinfo(self) -> Response:
        """Tell who an access token is for."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        person = self._tokens.get(token)
        return _error("invalid_token", 401) if person is None else jsonify(_claims(person))

    def logout(self) -> Response:
        """End the session, of which there is none, and send back."""
        back = request.args.get("post_logout_redirect_uri", "")
        if not self._is_ours(back):
            return make_response("post_logout_redirect_uri: not registered\n", 400)
        return make_response(redirect(back, 303))

    def faults(self) -> Response:
        """Order faults, in their order."""
        ordered = request.get_json(silent=True)
        if not isinstance(ordered, list) or not set(ordered) <= set(FAULTS):
            return make_response(jsonify(error=f"a list of {', '.join(FAULTS)}"), 422)
        with self._lock:
            self._faults = list(ordered)
        return jsonify(ordered=ordered)

    def _id_token(self, asked: _Asked, fault: str) -> str:
        now = int(time.time())
        if fault == "nonce":
            asked = replace(asked, nonce="of-another-login")
        claims = _claims(asked.person) | {
            "iss": f"{self._issuer}/other" if fault == "issuer" else self._issuer,
            "aud": "another-client" if fault == "audience" else self._client,
            "iat": now, "exp": now - 3600 if fault == "expired" else now + TOKEN_S,
            "nonce": asked.nonce,
        }  # fmt: skip
        if fault == "none":
            parts = [base64.urlsafe_b64encode(_json(one)).rstrip(b"=").decode()
                     for one in ({"alg": "none"}, claims)]  # fmt: skip
            return ".".join([*parts, ""])
        key = RSAKey.generate_key(2048) if fault == "signature" else self._key
        return jwt.encode({"alg": "RS256", "kid": str(self._key.kid)}, claims, key)

    def _wrong_question(self) -> str:
        asked = request.args
        if asked.get("client_id") != self._client:
            return "client_id: unknown"
        if not self._is_ours(asked.get("redirect_uri", "")):
            return "redirect_uri: not registered"
        if asked.get("response_type") != "code" or "openid" not in asked.get("scope", "").split():
            return "response_type and scope: only code with openid"
        if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
            return "code_challenge: PKCE with S256 is needed"
        return "" if asked.get("state") and asked.get("nonce") else "state and nonce are needed"

    def _is_ours(self, back: str) -> bool:
        return any(back.startswith(prefix) for prefix in self._backs)


def _claims(person: DemoPerson) -> dict[str, Any]:
    return {
        "sub": person.id, "preferred_username": person.id, "name": person.name,
        "roles": list(person.roles), "subscribers": list(person.subscribers),
    }  # fmt: skip


def _json(value: object) -> bytes:
    return jsonify(value).get_data()


def _error(code: str, status: int) -> Response:
    return make_response(jsonify(error=code), status)


_CHOICE: Final = """<!doctype html><html lang="vi"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chọn người · Choose a person</title></head>
<body><main><h1>Hệ thống định danh thử nghiệm · Sandbox identity provider</h1>
<form method="post" action="/choose">
{% for name in ("redirect_uri", "state", "nonce", "code_challenge") %}
<input type="hidden" name="{{ name }}" value="{{ asked.get(name, '') }}">
{% endfor %}
{% for one in people %}
<p><button name="person" value="{{ one.id }}">{{ one.name }}</button> {{ one.what }}</p>
{% endfor %}
<p><button name="person" value="">Hủy · Cancel</button></p>
</form></main></body></html>
"""


class _Quiet(WSGIRequestHandler):
    """Keeps requests, whose addresses hold codes, out of the log."""

    def log_request(self, *_args: object) -> None:
        """Say nothing."""


def main(words: list[str]) -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--client", required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--back", action="append", required=True)
    flags = parser.parse_args(words)
    secret = flags.secret_file.read_text().strip()
    provider = Provider(f"http://127.0.0.1:{flags.port}", flags.client, secret, flags.back)
    server = make_server(
        "127.0.0.1", flags.port, provider.app(), threaded=True, request_handler=_Quiet
    )

    def stop(*_signal: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.serve_forever(0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
