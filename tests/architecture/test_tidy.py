# SPDX-License-Identifier: Apache-2.0
"""House rules that no linter knows: sizes, licences, purity, and nothing of a private machine."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

LINES_PER_FILE_MAX = 400
LINES_PER_FUNCTION_MAX = 60
POSITIONAL_MAX = 5
FOREIGN = re.compile(
    r"(?<![\w.])/(?:work|tmp/dev)/|index-url\s*[=:]|find-links|https?://[^\s\"']*/simple(?:/|$)"
    r"|\bTO" + r"DO\b|\bFIX" + r"ME\b"
)


def tracked(*endings: str) -> list[Path]:
    """Return the files git knows (also new ones it would take) with one of ``endings``."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    return [Path(name) for name in names if name.endswith(endings) and Path(name).is_file()]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


PYTHON = tracked(".py")


@pytest.mark.parametrize("path", PYTHON, ids=str)
def test_module_is_small_and_licensed(path: Path) -> None:
    """A module has a licence line, a docstring, and sizes that a reader can hold."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    assert ast.get_docstring(ast.parse(text)), "no module docstring"
    assert text.count("\n") <= LINES_PER_FILE_MAX
    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= LINES_PER_FUNCTION_MAX, f"{function.name}: {length} lines"
        positional = len(function.args.posonlyargs) + len(function.args.args)
        assert positional <= POSITIONAL_MAX + 1, f"{function.name}: {positional} positional"


@pytest.mark.parametrize(
    "path", [p for p in PYTHON if "domain" in p.parts and "services" in p.parts], ids=str
)
def test_domain_has_no_float(path: Path) -> None:
    """Money, counts and time in the domain are integers."""
    floats = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    assert floats == []


def test_nothing_of_a_private_machine() -> None:
    """No tracked text names a private path or a registry, or leaves work for later."""
    texts = tracked(".py", ".md", ".toml", ".sql", ".sh", ".yaml", ".json", ".lock", "Makefile")
    found = [
        f"{path}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
        if path.name not in {"test_tidy.py", "Makefile"} and FOREIGN.search(line)
    ]
    assert found == []
