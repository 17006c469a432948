# SPDX-License-Identifier: Apache-2.0
"""The hands of citizens and staff at a simulated machine, as HTTP on 127.0.0.1 only.

A request first moves the simulated hands (holds a pouch, pushes notes, puts or takes a result) and
then runs the same flow a touch on the screen would run.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import structlog

from services.common.canonical import Json
from services.common.errors import Malformed, Refused, Unavailable
from services.kiosk_sync.edge.agent.bins import (
    Emptying,
    close_bin,
    emptied_with,
    expected,
    open_bin,
)
from services.kiosk_sync.edge.agent.cash import (
    ABANDONED,
    DONE,
    close_cash,
    open_cash,
    take_credits,
)
from services.kiosk_sync.edge.agent.deposit import Application, deposit, readable
from services.kiosk_sync.edge.agent.lease import may_take_money
from services.kiosk_sync.edge.agent.machine import BIN, Machine
from services.kiosk_sync.edge.agent.recall import recall
from services.kiosk_sync.edge.agent.release import collect, grant_of, load
from services.kiosk_sync.edge.agent.view import dossier_view
from services.kiosk_sync.edge.devices.simulators import (
    PUT,
    TAKE,
    Mechanics,
    SimulatedIntake,
    SimulatedLocks,
    SimulatedValidator,
)
from services.kiosk_sync.edge.sync import FORK, confirmed

_BODY_MAX: Final = 100_000
_LOG = structlog.get_logger()
_BAD_REQUEST: Final = 400


@dataclass(frozen=True, slots=True)
class Hands:
    """A machine and the simulated devices that people move."""

    machine: Machine
    mechanics: Mechanics
    intake: SimulatedIntake
    validator: SimulatedValidator
    locks: SimulatedLocks

    def deposit(self, body: dict[str, Any]) -> dict[str, Json]:
        """A citizen hands a pouch in."""
        with self.machine.busy:
            pouch = str(body["pouch"])
            self.intake.hold(None if self.intake.has(pouch) else pouch)
            done = deposit(
                self.machine,
                Application(
                    procedure=str(body["procedure"]),
                    copies=int(body["copies"]),
                    papers=[str(paper) for paper in body["papers"]],
                    name=str(body["name"]),
                    phone=str(body["phone"]),
                    pouch=pouch,
                    pages=int(body.get("pages", 1)),
                    exemption=body.get("exemption"),
                ),
            )
            self.intake.hold(None)
            return {
                "dossier": done.dossier, "session": done.session, "code": done.code,
                "secret": done.secret,
            }  # fmt: skip

    def cash(self, body: dict[str, Any]) -> dict[str, Json]:
        """A citizen pushes notes in, one after the other; ``abandon`` walks away then."""
        dossier = str(body["dossier"])
        notes = [int(note) for note in body["notes"]]
        reason = ABANDONED if body.get("abandon") else DONE
        with self.machine.busy:
            open_cash(self.machine, dossier)
            for note in notes:
                self.validator.insert(note)
                take_credits(self.machine)
            total = close_cash(self.machine, reason)
        return {"credited_vnd": total, **dossier_view(self.machine, dossier)}

    def load(self, body: dict[str, Any]) -> dict[str, Json]:
        """An official lays a result into a cell."""
        cell, dossier = int(body["cell"]), str(body["dossier"])
        with self.machine.busy:
            self.locks.prepare(cell, PUT)
            load(self.machine, dossier, cell=cell, staff=str(body["staff"]))
        return {"dossier": dossier, "cell": cell}

    def collect(self, body: dict[str, Any]) -> dict[str, Json]:
        """A citizen types the code and takes the result; ``leave`` leaves it inside."""
        dossier = str(body["dossier"])
        with self.machine.busy:
            grant = grant_of(self.machine, dossier)
            if grant is not None:
                self.locks.prepare(grant.cell, "leave" if body.get("leave") else TAKE)
            released = collect(self.machine, dossier, str(body["code"]))
        return {"dossier": dossier, "released": released}

    def empty_bin(self, body: dict[str, Any]) -> dict[str, Json]:
        """Two officials take out and count the pouches; ``missing`` are left out of the count."""
        asked = Emptying(
            bin=int(body.get("bin", BIN)), staff=str(body["staff"]),
            second_staff=str(body["second_staff"]), seal=str(body["seal"]),
        )  # fmt: skip
        missing = {str(pouch) for pouch in body.get("missing", [])}
        with self.machine.busy:
            counted = emptied_with(self.machine, asked.seal)
            if counted is None:
                open_bin(self.machine, asked)
                lying = self.intake.take_out()
                counted = sorted(one for one in lying if readable(one) and one not in missing)
                close_bin(self.machine, replace(asked, pouches=counted))
            self.intake.seal_bag(asked.seal, counted)
        return {"pouches": [*counted]}

    def recall(self, body: dict[str, Any]) -> dict[str, Json]:
        """An official takes a result back; ``leave`` leaves it inside."""
        dossier = str(body["dossier"])
        with self.machine.busy:
            held = self.machine.store.rows("SELECT cell FROM cell WHERE dossier = ?", dossier)
            for (cell,) in held:
                self.locks.prepare(_whole(cell), "leave" if body.get("leave") else TAKE)
            return {
                "dossier": dossier,
                "cell": recall(self.machine, dossier, staff=str(body["staff"])),
            }

    def state(self) -> dict[str, Json]:
        """Return where the journal stands, beside what the mechanics say."""
        store, mechanics = self.machine.store, self.mechanics.state
        seq, head = store.head()
        credited, deposits = store.rows(
            "SELECT (SELECT count(*) FROM cash_note), (SELECT count(*) FROM deposit)"
        )[0]
        cells = store.rows("SELECT cell, dossier FROM cell ORDER BY cell")
        return {
            "serial": store.identity.serial,
            "epoch": store.identity.epoch,
            "seq": seq,
            "head": head,
            "acked": confirmed(store),
            "downlink": store.lane("down"),
            "fork": store.meta(FORK),
            "takes_money": may_take_money(self.machine),
            "alarms": {
                str(name): str(value)
                for name, value in store.rows(
                    "SELECT name, value FROM meta WHERE name LIKE 'alarm.%' ORDER BY 1"
                )
            },
            "procedures": [str(r[0]) for r in store.rows("SELECT code FROM catalogue ORDER BY 1")],
            "journal": {"notes": _whole(credited), "deposits": _whole(deposits)},
            "cells": {str(cell): str(dossier) for cell, dossier in cells},
            "bins": {str(BIN): list[Json](expected(self.machine, BIN))},
            "mechanics": {
                "notes": len(mechanics["box"]),
                "notes_vnd": sum(mechanics["box"]),
                "pouches": list(mechanics["bin"]),
                "bags": dict(mechanics["bags"]),
                "cells": {name: full for name, full in mechanics["cells"].items() if full},
                "unlocked": len(mechanics["unlocked"]),
            },
        }


def serve_control(hands: Hands, port: int) -> ThreadingHTTPServer:
    """Return a bound server; the caller runs ``serve_forever``."""

    class Handler(_Handler):
        def answer(self) -> tuple[int, dict[str, Json]]:
            return _route(hands, self.command, self.path, self.body)

    ThreadingHTTPServer.daemon_threads = True
    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def _route(
    hands: Hands, method: str, path: str, body: Callable[[], dict[str, Any]]
) -> tuple[int, dict[str, Json]]:
    acts: dict[str, Callable[[dict[str, Any]], dict[str, Json]]] = {
        "/deposit": hands.deposit, "/cash": hands.cash, "/load": hands.load,
        "/collect": hands.collect, "/empty-bin": hands.empty_bin, "/recall": hands.recall,
    }  # fmt: skip
    if method == "POST" and path in acts:
        return HTTPStatus.OK, acts[path](body())
    if method == "GET" and path.startswith("/dossiers/"):
        return HTTPStatus.OK, dossier_view(hands.machine, path.removeprefix("/dossiers/"))
    if method == "GET" and path == "/state":
        return HTTPStatus.OK, hands.state()
    if method == "GET" and path == "/healthz":
        return HTTPStatus.OK, {"status": "ok"}
    return HTTPStatus.NOT_FOUND, {"code": "not_found"}


class _Handler(BaseHTTPRequestHandler):
    def answer(self) -> tuple[int, dict[str, Json]]:
        """Return status and body; given by ``serve_control``."""
        raise NotImplementedError

    def body(self) -> dict[str, Any]:
        """Return the request's JSON object; raises ValueError."""
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 < length <= _BODY_MAX:
            raise ValueError("a JSON object is needed")
        value = json.loads(self.rfile.read(length))
        if not isinstance(value, dict):
            raise ValueError("a JSON object is needed")  # noqa: TRY004 - one kind of bad request
        return value

    def do_GET(self) -> None:
        """Answer a question."""
        self._respond()

    def do_POST(self) -> None:
        """Carry out an act."""
        self._respond()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Keep quiet: bodies and paths name dossiers."""

    def _respond(self) -> None:
        try:
            status, answer = self.answer()
        except Refused as refused:
            status = HTTPStatus.CONFLICT
            answer = {"code": refused.code, "en": refused.en, "vi": refused.vi}
        except Unavailable as error:
            status, answer = HTTPStatus.SERVICE_UNAVAILABLE, {"code": error.dependency}
        except (Malformed, KeyError, ValueError, TypeError) as error:
            status, answer = _BAD_REQUEST, {"code": "malformed", "en": str(error)}
        except Exception:  # noqa: BLE001 - the boundary: logged once, with its traceback
            _LOG.exception("control_request_failed")
            status, answer = HTTPStatus.INTERNAL_SERVER_ERROR, {"code": "error"}
        content = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _whole(value: object) -> int:
    assert isinstance(value, int), "the column is INTEGER in a STRICT table"
    return value
