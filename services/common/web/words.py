# SPDX-License-Identifier: Apache-2.0
"""Every word of the pages, as data: one table for each language, Vietnamese first.

A package that has pages keeps ``words/vi.json`` and ``words/en.json``, flat, key → text with
``{names}`` of what is put in. A key that is missing is an error, never an empty place; a test
compares the tables with each other and with what the templates ask for.
"""

import json
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Final

LANGUAGES: Final = {"vi": "Tiếng Việt", "en": "English"}
"""Code → the language's own name; the first is shown to whoever chose none."""
FIRST: Final = next(iter(LANGUAGES))


def read_words(package: str, language: str) -> dict[str, str]:
    """Return the table of one package."""
    file = resources.files(package).joinpath("words", f"{language}.json")
    table: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return table


class Words:
    """The tables of some packages, joined; later ones may not change earlier ones' keys."""

    def __init__(self, packages: Iterable[str]) -> None:
        """Read every table at once, so that a missing file fails at start."""
        self._tables: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
        for package in packages:
            for language, table in self._tables.items():
                added = read_words(package, language)
                twice = table.keys() & added.keys()
                assert not twice, f"{package} says again: {sorted(twice)}"
                table.update(added)

    def table(self, language: str) -> Mapping[str, str]:
        """Return key → text."""
        return self._tables[language]

    def say(self, language: str, key: str, **values: object) -> str:
        """Return the text of ``key`` with ``values`` put in; raises KeyError for an unknown key."""
        return self._tables[language][key].format(**values)

    def knows(self, key: str) -> bool:
        """Say whether there is such a key."""
        return key in self._tables[FIRST]
