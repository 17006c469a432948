# SPDX-License-Identifier: Apache-2.0
"""``docs/questions.md``, with the output that the questions have; ``python -m`` writes it anew."""

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from infra.questions import Question, ask, open_bundle, questions
from tests.support import auditors_week
from tests.support.bundles import sealed

PAGE = Path("docs/questions.md")
HEAD = """\
# An auditor's questions

`motcua questions` asks a bundle with DuckDB: no server, no key, no login to the platform. Verify the bundle first; an answer
is worth what the bundle is worth ([proofs](integrity.md)).

```sh
motcua export --parquet /srv/bundle              # or take the bundle that somebody gave you; --parquet makes it fast
motcua verify --bundle /srv/bundle --key keys    # as written? and is the Parquet copy the events?
motcua questions --list                          # the questions below
motcua questions /srv/bundle late cash-and-receipts
motcua questions /srv/bundle late --format csv > late.csv        # or json: a line for each row
motcua questions /srv/bundle --sql "SELECT type, count(*) FROM event GROUP BY type ORDER BY 2 DESC"
motcua questions /srv/bundle --database audit.duckdb             # the views in a file, for DuckDB's own command line
```

| view | a row is | columns |
|---|---|---|
| `event` | an event | `position`, `event_id`, `stream`, `version`, `type`, `schema`, `dossier` (its subject), `occurred_at`, `recorded_at`, `data`, `meta`, `actor` |
| `dossier` | a dossier | `office`, `machine`, `procedure`, `code`, `deposited_at`, `registered_at`, `due_at` (the newest), `completed_at`, `returned_at`, `ended_at` (refused, withdrawn, stopped) |
| `log_end` | one row: how far the log goes | `at`, `position` |

Times are shown in Vietnam's zone. `occurred_at` is what somebody's clock said; `recorded_at` is when the log had it, and is
what the seals cover too. "Open", "late", "still there" mean: at the end of the log, not today. What each event says:
[events](reference/events/README.md). Personal data are in no bundle, so no answer has any. In SQL put `data->>'x'` into
brackets before you compare it: DuckDB binds `->>` weaker than `=`.

The answers below are those of a made-up week, 23 to 27 November 2026, in which each thing happens once or twice
(`tests/support/auditors_week.py`). The SQL is `infra/questions.sql`; a test asks every block of this page and compares.
"""


def rendered(folder: Path) -> str:
    """Return the page with the answers of the bundle in ``folder``."""
    with closing(open_bundle(folder)) as connection:
        parts = [_section(one, *ask(connection, one.sql)) for one in questions().values()]
    return "\n".join([HEAD, *parts])


def table(names: Any, rows: Any) -> str:
    """Return rows as a Markdown table."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(_cell(one) for one in line) + " |" for line in lines)


def _section(question: Question, names: Any, rows: Any) -> str:
    return (
        f"## {question.name}\n**{question.vi}** {question.en}\n\n"
        f"```sql\n{question.sql}\n```\n\n{table(names, rows)}\n"
    )


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder:
        sealed(Path(folder) / "week", auditors_week.events, columns=True)
        PAGE.write_text(rendered(Path(folder) / "week"), encoding="utf-8")


if __name__ == "__main__":
    main()
