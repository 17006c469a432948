# SPDX-License-Identifier: Apache-2.0
"""Configuration from the environment: every problem at once, secrets from files, no defaults.

A service's ``config.py`` reads its settings through one ``Settings`` and calls ``finish``; either
it gets a complete frozen config or one error that lists everything that is missing or wrong.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

KNOWN_DEFAULTS: Final = frozenset(
    {"guest", "postgres", "password", "changeme", "secret", "admin", "123456", "motcua", "test"}
)
SECRET_MIN_CHARS: Final = 16


class ConfigError(Exception):
    """The environment is not complete; ``problems`` has one line for each setting."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Join all problems, one a line."""
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(slots=True)
class Settings:
    """Reads settings and collects what is wrong with them.

    Every getter returns a harmless value after noting a problem; ``finish`` then raises, so a
    half-read config never leaves ``config.py``.
    """

    environ: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def text(self, name: str, default: str | None = None) -> str:
        """Return setting ``name`` or the content of the file that ``name``_FILE names."""
        value = self._raw(name)
        if value is None:
            value = default
        if value is None or not value:
            self.problems.append(f"{name}: missing (or give {name}_FILE)")
            return ""
        return value

    def whole(
        self, name: str, default: int | None = None, *, low: int = 0, high: int = 2**31
    ) -> int:
        """Return setting ``name`` as an integer within ``low`` … ``high``."""
        raw = self.text(name, None if default is None else str(default))
        try:
            value = int(raw)
        except ValueError:
            if raw:
                self.problems.append(f"{name}: {raw!r} is not a whole number")
            return low
        if not low <= value <= high:
            self.problems.append(f"{name}: {value} is not within {low} … {high}")
        return value

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """Return setting ``name`` as seconds or a ratio within ``low`` … ``high``."""
        raw = self.text(name, str(default))
        try:
            value = float(raw)
        except ValueError:
            self.problems.append(f"{name}: {raw!r} is not a number")
            return low
        if not low <= value <= high:
            self.problems.append(f"{name}: {value} is not within {low} … {high}")
        return value

    def url(self, name: str, schemes: tuple[str, ...], default: str | None = None) -> str:
        """Return setting ``name`` as a URL of one of ``schemes``, refusing known passwords."""
        value = self.text(name, default)
        if not value:
            return ""
        parts = urlsplit(value)
        if parts.scheme not in schemes:
            self.problems.append(f"{name}: must begin with one of {', '.join(schemes)}")
        if parts.password is not None and parts.password.lower() in KNOWN_DEFAULTS:
            self.problems.append(f"{name}: refuses to start with a well-known password")
        return value

    def path(self, name: str) -> str:
        """Return the path of an existing file that setting ``name`` gives."""
        value = self.environ.get(name, "")
        if not value or not Path(value).is_file():
            self.problems.append(f"{name}: must name an existing file")
        return value

    def secret(self, name: str) -> str:
        """Return a secret text; refuses known defaults and anything under 16 characters."""
        value = self.text(name)
        if value and (len(value) < SECRET_MIN_CHARS or value.lower() in KNOWN_DEFAULTS):
            self.problems.append(f"{name}: too short or a well-known default; make a random one")
        return value

    def key(self, name: str, size: int = 32) -> bytes:
        """Return a secret key of ``size`` bytes written as hexadecimal digits."""
        value = self.text(name)
        try:
            key = bytes.fromhex(value)
        except ValueError:
            self.problems.append(f"{name}: not hexadecimal")
            return b""
        if value and (len(key) != size or len(set(key)) <= 1):
            self.problems.append(f"{name}: needs {size} random bytes as hexadecimal digits")
        return key

    def finish(self) -> None:
        """Raise ConfigError with everything that was found; return if nothing was."""
        if self.problems:
            raise ConfigError(tuple(self.problems))

    def _raw(self, name: str) -> str | None:
        file_name = self.environ.get(f"{name}_FILE")
        if file_name is None:
            return self.environ.get(name)
        try:
            return Path(file_name).read_text(encoding="utf-8").strip()
        except OSError as error:
            self.problems.append(f"{name}_FILE: {error}")
            return None


def run_configured(main: Callable[[list[str]], int], words: list[str]) -> int:
    """Run ``main`` and return its exit code; a bad configuration is told, one line each, and 2."""
    try:
        return main(words)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
