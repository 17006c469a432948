# SPDX-License-Identifier: Apache-2.0
"""What a table on a terminal shows is what the log says, whatever somebody wrote into it."""

import pytest

from infra.cli_query import Form, say_rows


@pytest.mark.parametrize(
    "written",
    ["thiếu tờ [1] và [red]tờ 2[/red]", "[/b]", "[link=http://x]đây[/link]", "[đã xóa]", "\\[x]"],
)
def test_brackets_are_no_markup(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in brackets vanishes, and nothing breaks the table off."""
    say_rows(("reason",), [(written,)], Form.TABLE)
    assert written in capsys.readouterr().out


@pytest.mark.parametrize("written", ["a\x1b[2Jb", "a\rb", "a\x08b", "a\u202eb", "a\x9bb"])
def test_nothing_moves_the_cursor(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Letters that a terminal obeys are shown as such; programs get them as they are."""
    say_rows(("reason",), [(written,)], Form.TABLE)
    shown = capsys.readouterr().out
    assert written[1] not in shown
    assert shown.count("\N{REPLACEMENT CHARACTER}") == 1
    say_rows(("reason",), [(written,)], Form.CSV)
    assert written[1] in capsys.readouterr().out
