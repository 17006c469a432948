# SPDX-License-Identifier: Apache-2.0
"""Who calls: bearer tokens of officials, kept as SHA-256 only."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from flask import current_app, g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

P = ParamSpec("P")
R = TypeVar("R")
SECURITY_SCHEME = "official"
EDITOR = "editor"
_KEY = "motcua_officials"


@dataclass(frozen=True, slots=True)
class Official:
    """An official who may call: ``id`` stands in events, the name does not."""

    id: str
    office: str
    roles: frozenset[str] = frozenset()


def read_officials(path: str) -> Mapping[str, Official]:
    """Read {token's SHA-256: {"id", "name", "office", "roles"}}; ``roles`` may be left out.

    Raises:
        ValueError: when it is not that.
    """
    raw = json.loads(Path(path).read_text(encoding="utf-8"))
    return {
        digest: Official(entry["id"], entry["office"], frozenset(entry.get("roles", ())))
        for digest, entry in raw.items()
    }


def officials_only(view: Callable[P, R]) -> Callable[P, R]:
    """Let only known officials through; others get 401 and nothing happens."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        g.official = _authenticate(request.headers.get("Authorization", ""))
        return view(*args, **kwargs)

    documented = vars(guarded).setdefault("_apidoc", {}).setdefault("manual_doc", {})
    documented["security"] = [{SECURITY_SCHEME: []}]
    return guarded


def editors_only(view: Callable[P, R]) -> Callable[P, R]:
    """Let only officials through who may change the catalogue; others get 401 or 403."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if EDITOR not in official().roles:
            raise Forbidden("only editors of the catalogue may do this")
        return view(*args, **kwargs)

    return officials_only(guarded)


def official() -> Official:
    """Return who is calling."""
    found: Official = g.official
    return found


def let_in(officials: Mapping[str, Official]) -> dict[str, Mapping[str, Official]]:
    """Return the configuration entry that ``officials_only`` reads."""
    return {_KEY: officials}


def _authenticate(header: str) -> Official:
    scheme, _, token = header.partition(" ")
    digest = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
    officials: Mapping[str, Official] = current_app.config[_KEY]
    found = None
    for known, entry in officials.items():
        if hmac.compare_digest(known, digest):
            found = entry
    if scheme.lower() != "bearer" or found is None:
        challenge = WWWAuthenticate("bearer", {"realm": "motcua247"})
        raise Unauthorized("a valid bearer token is needed", www_authenticate=challenge)
    return found
