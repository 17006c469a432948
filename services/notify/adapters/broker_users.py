# SPDX-License-Identifier: Apache-2.0
"""Logins at the broker, through its management API with an administrator's login.

Only the command line uses this; no running service may make logins.
"""

import json
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from services.common.errors import Unavailable

TIMEOUT_S: Final = 20.0
CONNECTIONS_MAX: Final = 20
"""How many connections a subscriber may hold at once; channels: 4 for each."""
_LIMITS: Final = {"max-connections": CONNECTIONS_MAX, "max-channels": 4 * CONNECTIONS_MAX}


class BrokerUsers:
    """Makes and removes logins of one virtual host."""

    def __init__(self, management_url: str, vhost: str) -> None:
        """Remember where; ``management_url`` holds the administrator's login."""
        parts = urlsplit(management_url)
        login = parts.netloc.rpartition("@")[0]
        user, _, password = login.partition(":")
        self._base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/api"
        self._login = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        self._vhost = quote(vhost, safe="")

    def ensure(self, name: str, password: str, permissions: Mapping[str, str]) -> None:
        """Make the login or set its password, its rights and its limits.

        Raises:
            Unavailable: the broker does not answer, or refuses the administrator's login.
        """
        user = quote(name, safe="")
        self._ask("PUT", f"/users/{user}", {"password": password, "tags": ""})
        self._ask("PUT", f"/permissions/{self._vhost}/{user}", dict(permissions))
        for limit, value in _LIMITS.items():
            self._ask("PUT", f"/user-limits/{user}/{limit}", {"value": value})

    def exists(self, name: str) -> bool:
        """Say whether there is such a login; raises Unavailable."""
        return self._ask("GET", f"/users/{quote(name, safe='')}") is not None

    def remove(self, name: str) -> None:
        """Take the login away and end its connections; nothing if it is gone.

        Raises:
            Unavailable: as ``ensure``.
        """
        self._ask("DELETE", f"/users/{quote(name, safe='')}")
        self.disconnect(name)

    def disconnect(self, name: str) -> None:
        """End every connection of the login, so that only its newest password lets it in again.

        Raises:
            Unavailable: as ``ensure``.
        """
        found = self._ask("GET", "/connections") or []
        assert isinstance(found, list), "the broker lists connections"
        for one in found:
            if one.get("user") == name:
                self._ask("DELETE", f"/connections/{quote(one['name'], safe='')}")

    def _ask(self, method: str, path: str, body: object = None) -> object:
        """Return the decoded answer; None for nothing and for 404."""
        request = urllib.request.Request(  # noqa: S310 - the address is the operator's setting
            self._base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Basic {self._login}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                content = answer.read()
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND and method != "PUT":
                return None
            raise Unavailable("rabbitmq", f"management API answered {error.code}") from error
        except OSError as error:
            raise Unavailable("rabbitmq", type(error).__name__) from error
        result: object = json.loads(content) if content else None
        return result
