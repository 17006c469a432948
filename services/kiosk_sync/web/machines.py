# SPDX-License-Identifier: Apache-2.0
"""The machines' API: hello, journal upload, catalogue, orders. Only over mutual TLS.

A machine is known by its certificate's SHA-256 fingerprint, which the log allows per serial and
epoch, so a revocation works at the next request.
"""

import hashlib
from typing import Any

from flask import Response, json, request
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from services.common.clock import VIETNAM
from services.common.errors import Malformed, Problem, Refused
from services.common.web.app import StrictBlueprint
from services.common.web.problems import problem
from services.kiosk_sync import protocol
from services.kiosk_sync.application.orders import WAIT_MAX_S
from services.kiosk_sync.application.queries import Catalogues
from services.kiosk_sync.application.upload import GapError
from services.kiosk_sync.bootstrap import KioskSync


class PlaceSchema(Schema):
    """Which journal; ``next`` and ``head`` are where the machine itself stands."""

    serial = fields.String(required=True, validate=validate.Regexp(r"^[A-Z]{2}[0-9]{2}$"))
    epoch = fields.Integer(required=True, strict=True, validate=validate.Range(1, 10_000))
    next = fields.Integer(required=True, strict=True, validate=validate.Range(1, 2**53 - 1))
    head = fields.String(required=True, validate=validate.Regexp(r"^[0-9a-f]{64}$"))


class PositionSchema(Schema):
    """Where the centre stands: next sequence, and the hash of the last record it holds."""

    next = fields.Integer(required=True)
    head = fields.String(required=True)


class GapSchema(Schema):
    """Records before the upload's first are missing: where the centre stands."""

    error = fields.String(required=True)
    next = fields.Integer(required=True)
    head = fields.String(required=True)


class OrdersQuerySchema(Schema):
    """Orders after a number, waiting for the first one."""

    serial = fields.String(required=True, validate=validate.Regexp(r"^[A-Z]{2}[0-9]{2}$"))
    epoch = fields.Integer(required=True, validate=validate.Range(1, 10_000))
    after = fields.Integer(load_default=0, validate=validate.Range(0, 2**53 - 1))
    wait = fields.Integer(load_default=0, validate=validate.Range(0, WAIT_MAX_S))


class JournalQuerySchema(Schema):
    """Whose catalogue."""

    serial = fields.String(required=True, validate=validate.Regexp(r"^[A-Z]{2}[0-9]{2}$"))
    epoch = fields.Integer(required=True, validate=validate.Range(1, 10_000))


def peer_fingerprint() -> str:
    """Return the SHA-256 of the client certificate's DER bytes; empty without a certificate."""
    socket: Any = request.environ.get("gunicorn.socket")
    certificate = socket.getpeercert(binary_form=True) if hasattr(socket, "getpeercert") else None
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def _locked(error: Refused) -> Response:
    """A machine that may not speak keeps its journal and asks people: 423, whatever the reason."""
    found = (Problem("serial", error.code, error.en, error.vi),)
    return problem(423, error.code, error.en, error.vi, found)


def journal_routes(service: KioskSync) -> StrictBlueprint:
    """Return the routes of the upload process."""
    blueprint = StrictBlueprint("machines", __name__, url_prefix="/kiosk/v1")
    blueprint.register_error_handler(Refused, _locked)
    catalogues = Catalogues(service.runtime.log)

    @blueprint.route("/hello")
    class Hello(MethodView):
        @blueprint.arguments(PlaceSchema)
        @blueprint.response(200, PositionSchema)
        def post(self, place: dict[str, Any]) -> Any:
            """Tell a machine where the centre stands with its journal."""
            serial, epoch = place["serial"], place["epoch"]
            service.journals.authorise(serial, epoch, peer_fingerprint())
            position = service.journals.position(serial, epoch)
            return {"next": position.next_seq, "head": position.head}

    @blueprint.route("/events")
    class Events(MethodView):
        @blueprint.response(200, PositionSchema)
        @blueprint.alt_response(409, schema=GapSchema)
        def post(self) -> Any:
            """Take a signed run of journal records (gzip, canonical JSON lines)."""
            try:
                upload = protocol.decode_upload(request.get_data(cache=False))
            except protocol.ProtocolError as error:
                found = Problem(error.field, "invalid", error.reason, "bản ghi máy không hợp lệ")
                raise Malformed("journal upload", (found,)) from error
            try:
                position = service.journals.take(upload, peer_fingerprint())
            except GapError as gap:
                body = {"error": "gap", "next": gap.next_seq, "head": gap.head}
                return Response(json.dumps(body), 409, content_type="application/json")
            return {"next": position.next_seq, "head": position.head}

    @blueprint.route("/catalogue")
    class Catalogue(MethodView):
        @blueprint.arguments(JournalQuerySchema, location="query")
        @blueprint.response(200)
        def get(self, place: dict[str, Any]) -> Any:
            """Return what the machines take or give back today, and the right to take money."""
            machine = service.journals.authorise(
                place["serial"], place["epoch"], peer_fingerprint()
            )
            today = service.runtime.clock.now().astimezone(VIETNAM).date()
            return {
                "procedures": catalogues.of_office(machine.office, today),
                "money_lease": service.leases.lease(place["serial"]),
            }

    return blueprint


def order_routes(service: KioskSync) -> StrictBlueprint:
    """Return the routes of the downlink process (long polls)."""
    blueprint = StrictBlueprint("orders", __name__, url_prefix="/kiosk/v1")
    blueprint.register_error_handler(Refused, _locked)

    @blueprint.route("/downlink")
    class Downlink(MethodView):
        @blueprint.arguments(OrdersQuerySchema, location="query")
        @blueprint.response(200)
        def get(self, asked: dict[str, Any]) -> Any:
            """Return signed orders after a number, waiting for the first one."""
            service.journals.authorise(asked["serial"], asked["epoch"], peer_fingerprint())
            orders = service.orders.after(asked["serial"], asked["after"], wait_s=asked["wait"])
            return {"orders": orders}

    return blueprint
