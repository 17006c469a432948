# SPDX-License-Identifier: Apache-2.0
"""What a page is made with: template, words, token for forms, addresses of static files."""

import hashlib
import secrets
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, cast

from flask import Response, current_app, g, make_response, render_template, session, url_for

from services.common.web.words import Words

EXTENSION: Final = "motcua_shell"
SHELL_FILES: Final = Path(__file__).parent / "shell"


class _Area(Protocol):
    @property
    def name(self) -> str: ...


class _Shell(Protocol):
    words: Words

    @property
    def area(self) -> _Area: ...


def render(template: str, **values: Any) -> Response:
    """Return a page."""
    return make_response(render_template(template, **values))


def say(key: str, **values: object) -> str:
    """Return a text in the language of the running request."""
    return _shell().words.say(g.language, key, **values)


def knows(key: str) -> bool:
    """Say whether the words have ``key``."""
    return _shell().words.knows(key)


def csrf_token() -> str:
    """Return the session's token for forms; made at its first use."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def asset(name: str) -> str:
    """Return the address of ``shell/<file>`` or the area's ``static/<file>``, with its digest."""
    folder, _, file = name.partition("/")
    area = _shell().area.name
    if folder == "shell":
        return url_for(f"{area}.shell", name=file, v=_digest(SHELL_FILES / file))
    path = Path(str(current_app.blueprints[area].static_folder)) / file
    return url_for(f"{area}.static", filename=file, v=_digest(path))


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _shell() -> _Shell:
    return cast("_Shell", current_app.extensions[EXTENSION])
