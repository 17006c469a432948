# SPDX-License-Identifier: Apache-2.0
"""The Flask application that every service's pages and APIs begin with."""

import re
import time
import uuid
from typing import Final
from uuid import UUID

from flask import Flask, Request, Response, g, json, request
from flask_smorest import Api, Blueprint
from marshmallow import RAISE, Schema
from structlog.contextvars import bind_contextvars, clear_contextvars
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from services.common.errors import Malformed, Problem
from services.common.telemetry import metrics
from services.common.web import auth, problems

BODY_MAX: Final = 1_100_000
IDEMPOTENCY_KEY: Final = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": True,
    "description": "Made by the caller for each command; the same key is never done twice.",
    "schema": {"type": "string", "format": "uuid"},
}
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
"""No table of PostgreSQL takes the first, and no bytes of UTF-8 stand for the others."""
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_app(name: str, title: str) -> tuple[Flask, Api]:
    """Return an application with errors, correlation, security headers and an OpenAPI document.

    Args:
        name: import name, for example ``services.intake.web``.
        title: title of the API in ``/openapi.json``.
    """
    app = Flask(name)
    app.config.update(
        API_TITLE=title,
        API_VERSION="1",
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        MAX_CONTENT_LENGTH=BODY_MAX,
        PROPAGATE_EXCEPTIONS=False,
    )
    app.url_map.strict_slashes = False
    app.before_request(_begin)
    app.after_request(_finish)
    api = _PlainApi(app)
    bearer = {"type": "http", "scheme": "bearer"}
    api.spec.components.security_scheme(auth.SECURITY_SCHEME, bearer)
    problems.install(app)
    return app, api


class _PlainApi(Api):
    """Leaves errors to ``problems``, and documents them as problem documents."""

    ERROR_SCHEMA = problems.ProblemSchema

    def _register_error_handlers(self) -> None:
        """Register none."""

    def _openapi_json(self) -> Response:
        """Serve the document, in which every error is a problem document."""
        document = self.spec.to_dict()
        answers = list(document["components"].get("responses", {}).values())
        for path in document["paths"].values():
            for name, operation in path.items():
                if name != "parameters":
                    answers += operation["responses"].values()
        for answer in answers:
            content = answer.get("content", {})
            for schema in [found["schema"] for found in content.values()]:
                if schema.get("$ref", "").endswith("/Problem"):
                    answer["content"] = {problems.TYPE: {"schema": schema}}
        return Response(json.dumps(document), mimetype="application/json")


class _StrictParser(FlaskParser):
    """Refuses unknown query parameters, and bodies that do not say they are JSON."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012 - as in the library
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": RAISE,
    }

    def load_json(self, req: Request, schema: Schema) -> object:
        """Return the body; 415 for anything else than JSON, 400 for JSON that cannot be read."""
        if not req.is_json:
            raise UnsupportedMediaType("the body must be JSON with its content type")
        if not req.get_data(cache=True):
            raise BadRequest("the body is empty")
        try:
            body: object = super().load_json(req, schema)
        except RecursionError:
            raise BadRequest("the body is nested too deeply") from None
        _require_storable(body)
        return body


class StrictBlueprint(Blueprint):
    """Routes whose input is exactly what the document says."""

    ARGUMENTS_PARSER = _StrictParser()


def correlation_id() -> str:
    """Return the id of the running request, which becomes the correlation id of its events."""
    return str(g.request_id)


def idempotency_key() -> str:
    """Return the request's Idempotency-Key.

    Raises:
        Malformed: missing, or not a UUID.
    """
    value = request.headers.get("Idempotency-Key", "")
    try:
        return str(UUID(value))
    except ValueError:
        found = Problem(
            "Idempotency-Key", "missing_or_not_uuid",
            "every command needs a UUID in the header Idempotency-Key",
            "mỗi lệnh cần một UUID trong tiêu đề Idempotency-Key",
        )  # fmt: skip
        raise Malformed("request header", (found,)) from None


def _require_storable(body: object) -> None:
    """Raise Malformed where a text of a body could be written nowhere; names its field."""
    waiting = [("json", body)]
    while waiting:
        field, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{field}.{name}", inner) for name, inner in value.items()]
            waiting += [(field, name) for name in value]  # looked at first: a name is said in words
        elif isinstance(value, list):
            waiting += [(f"{field}.{place}", inner) for place, inner in enumerate(value)]
        elif isinstance(value, str) and _UNSTORABLE.search(value):
            found = Problem(
                field, "not_text", "has a character that is no text (U+0000, half a surrogate)",
                "có ký tự không phải là chữ (U+0000, nửa ký tự thay thế)",
            )  # fmt: skip
            raise Malformed("request body", (found,))


def _begin() -> None:
    clear_contextvars()
    given = request.headers.get("X-Request-Id", "")
    try:
        g.request_id = UUID(given)
    except ValueError:
        g.request_id = uuid.uuid4()
    g.began_s = time.monotonic()
    bind_contextvars(correlation_id=str(g.request_id))
    if "\x00" in request.path or b"%00" in request.query_string:
        raise BadRequest("the address has the character U+0000")


def _finish(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-Id"] = str(getattr(g, "request_id", ""))
    route = request.url_rule.rule if request.url_rule is not None else "none"
    began = getattr(g, "began_s", time.monotonic())
    metrics.http_request_seconds.labels(route, str(response.status_code)).observe(
        time.monotonic() - began
    )
    return response
