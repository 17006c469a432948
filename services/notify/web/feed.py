# SPDX-License-Identifier: Apache-2.0
"""The feed for systems outside: events, digests, certificates (docs/subscribing.md)."""

import hashlib
from collections.abc import Callable
from datetime import date
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast
from urllib.parse import urlencode

from flask import Response, g, request
from flask.views import MethodView
from marshmallow import Schema, fields, validate
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from services.common.errors import Malformed, Problem
from services.common.messaging.envelope import encode
from services.common.web import auth
from services.common.web.app import StrictBlueprint
from services.common.web.problems import problem
from services.notify.application.feed import LIMIT_MAX, WAIT_MAX_S, Asked, Page
from services.notify.application.limits import BusyError
from services.notify.domain.credentials import token_digest
from services.notify.domain.subscriber import Subscriber
from services.notify.feeding import Feeding

P = ParamSpec("P")
R = TypeVar("R")
POSITION_MAX: Final = 2**53 - 1
_FOR_EVER: Final = "private, max-age=86400, immutable"
_TYPES: Final = r"^[a-z_]+\.[a-z_]+(,[a-z_]+\.[a-z_]+){0,299}$"


def _position(**more: Any) -> fields.Integer:
    return fields.Integer(validate=validate.Range(0, POSITION_MAX), **more)


class PageQuerySchema(Schema):
    """Events behind a position; without ``types`` whatever was owed at each position."""

    after = _position(load_default=0)
    types = fields.String(load_default="", validate=validate.Regexp(_TYPES))
    limit = fields.Integer(load_default=100, validate=validate.Range(1, LIMIT_MAX))
    wait = fields.Integer(load_default=0, validate=validate.Range(0, WAIT_MAX_S))


class EventSchema(Schema):
    """A CloudEvent 1.0; what stands in ``data`` by type is said in ``asyncapi.json``."""

    specversion = fields.String(required=True, validate=validate.Equal("1.0"))
    id = fields.UUID(required=True)
    source = fields.String(required=True)
    type = fields.String(required=True, metadata={"example": "vn.motcua247.dossier.ready.v1"})
    time = fields.AwareDateTime(required=True)
    datacontenttype = fields.String(required=True)
    sequence = fields.String(required=True, validate=validate.Regexp(r"^[0-9]{20}$"))
    correlationid = fields.String(required=True)
    causationid = fields.String()
    traceparent = fields.String()
    subject = fields.String()
    data = fields.Dict(required=True)


class PageSchema(Schema):
    """Events in log order; ask on behind ``through``. A closed page never changes."""

    after = _position(required=True)
    closed = fields.Boolean(required=True)
    events = fields.List(fields.Nested(EventSchema), required=True)
    through = _position(required=True)


class DigestQuerySchema(Schema):
    """What was owed behind ``after`` up to ``through``."""

    after = _position(required=True)
    through = _position(required=True)


class DigestSchema(Schema):
    """How many events, and SHA-256 over position and id of each."""

    after = fields.Integer(required=True)
    through = fields.Integer(required=True)
    count = fields.Integer(required=True)
    digest = fields.String(required=True)


class SubscriptionSchema(Schema):
    """Who is asking: name, types granted now, position behind which it is owed, the log's head."""

    name = fields.String(required=True)
    types = fields.List(fields.String(), required=True)
    after = fields.Integer(required=True)
    head = fields.Integer(required=True)


def feed_routes(feeding: Feeding) -> StrictBlueprint:
    """Return the routes of the feed."""
    blueprint = StrictBlueprint("feed", __name__, url_prefix="/v1")
    blueprint.register_error_handler(BusyError, _busy)
    signed_in = _signed_in(feeding)

    @blueprint.route("/events")
    class Events(MethodView):
        @signed_in
        @blueprint.arguments(PageQuerySchema, location="query")
        @blueprint.response(200, PageSchema)
        def get(self, asked: dict[str, Any]) -> Any:
            """Return events as CloudEvents, waiting up to ``wait`` seconds for the first one."""
            types = tuple(one for one in asked["types"].split(",") if one)
            page = feeding.feed.page(
                _caller().name,
                Asked(
                    after=asked["after"], limit=asked["limit"], types=types, wait_s=asked["wait"]
                ),
            )
            return _page(page, asked)

    @blueprint.route("/digest")
    class Digest(MethodView):
        @signed_in
        @blueprint.arguments(DigestQuerySchema, location="query")
        @blueprint.response(200, DigestSchema)
        def get(self, asked: dict[str, Any]) -> Any:
            """Return count and digest of what was owed: whoever has the same has all."""
            found = feeding.feed.tally(_caller().name, asked["after"], asked["through"])
            return {**asked, "count": found.count, "digest": found.digest}

    @blueprint.route("/certificates/<string:day>")
    class DayCertificate(MethodView):
        @signed_in
        @blueprint.response(200)
        def get(self, day: str) -> Any:
            """Return the signed certificate of completeness of a day that is over (UTC+7)."""
            note = str(feeding.certificates.of_day(_caller(), _day(day)))
            return _cached(note.encode(), "text/plain; charset=utf-8")

    @blueprint.route("/subscription")
    class Subscription(MethodView):
        @signed_in
        @blueprint.response(200, SubscriptionSchema)
        def get(self) -> Any:
            """Return who is asking and what it is owed."""
            one = _caller()
            head = feeding.subscribers.look().head
            first = one.grants[-1].after
            return {"name": one.name, "types": list(one.types), "after": first, "head": head}

    return blueprint


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        found = Problem("day", "not_a_day", "must be a day like 2026-11-27",
                        "phải là một ngày, ví dụ 2026-11-27")  # fmt: skip
        raise Malformed("path", (found,)) from None


def _signed_in(feeding: Feeding) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only subscribers through that are not suspended, as many at once as each may."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            found = feeding.subscribers.with_token(token_digest(token))
            if scheme.lower() != "bearer" or found is None:
                challenge = WWWAuthenticate("bearer", {"realm": "motcua247"})
                raise Unauthorized("a valid bearer token is needed", www_authenticate=challenge)
            if not found.open:
                raise Forbidden("this subscriber is suspended")
            g.subscriber = found
            with feeding.gate.admitted(found.name):
                return view(*args, **kwargs)

        documented = vars(guarded).setdefault("_apidoc", {}).setdefault("manual_doc", {})
        documented["security"] = [{auth.SECURITY_SCHEME: []}]
        return guarded

    return decorate


def _caller() -> Subscriber:
    return cast("Subscriber", g.subscriber)


def _busy(error: BusyError) -> Response:
    answer = problem(429, "too_many_requests", f"too many requests, {error}",
                     "quá nhiều yêu cầu, xin thử lại sau")  # fmt: skip
    answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def _page(page: Page, asked: dict[str, Any]) -> Response:
    # The events are spliced in as they went to the broker, byte for byte.
    closed = b"true" if page.closed else b"false"
    body = b'{"after":%d,"closed":%b,"events":[%b],"through":%d}' % (
        asked["after"], closed, b",".join(map(encode, page.events)), page.through,
    )  # fmt: skip
    mimetype = "application/json"
    answer = _cached(body, mimetype) if page.closed else Response(body, mimetype=mimetype)
    following = {"after": page.through, "limit": asked["limit"]}
    if asked["types"]:
        following["types"] = asked["types"]
    answer.headers["Link"] = f'</v1/events?{urlencode(following, safe=",")}>; rel="next"'
    answer.headers["Motcua-Head"] = str(page.head)
    return answer


def _cached(body: bytes, content_type: str) -> Response:
    """Return an answer that never changes; 304 without a body to whoever has it."""
    answer = Response(body, content_type=content_type)
    answer.set_etag(hashlib.sha256(body).hexdigest())
    answer.headers["Cache-Control"] = _FOR_EVER
    answer.headers["Vary"] = "Authorization"
    return cast("Response", answer.make_conditional(request))
