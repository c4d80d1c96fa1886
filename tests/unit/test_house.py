"""The package keeps its own rules: short functions and files, few comments, one name for each query and key."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import pytest

import participation
from participation import keys

ROOT: Final = Path(participation.__file__).parent
FILES: Final = sorted(file for file in ROOT.rglob("*.py") if not file.is_symlink())
TREES: Final = {file: ast.parse(file.read_text("utf-8")) for file in FILES}
SQL: Final = re.compile(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|COPY)\b")
FUNCTION_LINES, MEDIAN_LINES, FILE_LINES = 40, 8, 300
COMMENTS: Final = (3.0, 6.0)
"""Least and most comment lines in 100 lines that are not empty."""


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def functions() -> Iterator[tuple[str, int]]:
    """Yield each function's place and number of lines."""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name(file)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_functions__are_short() -> None:
    """No function has more than 40 lines, and half of them have at most 8."""
    lengths = dict(functions())
    assert {place: lines for place, lines in lengths.items() if lines > FUNCTION_LINES} == {}
    assert median(lengths.values()) <= MEDIAN_LINES


def test_files__are_short() -> None:
    """No file has more than 300 lines."""
    lengths = {name(file): len(file.read_text("utf-8").splitlines()) for file in FILES}
    assert {place: lines for place, lines in lengths.items() if lines > FILE_LINES} == {}


def comments(file: Path) -> int:
    """Count comment lines: in Python, in SQL, and the text below a constant, which is Python's comment on it."""
    lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    below = 0
    for node in ast.walk(TREES[file]):
        for body in (getattr(node, field, None) for field in ("body", "orelse")):
            for first, each in zip(body or [], (body or [])[1:], strict=False) if isinstance(body, list) else ():
                if isinstance(first, ast.Assign | ast.AnnAssign) and is_text(each):
                    below += (each.end_lineno or each.lineno) - each.lineno + 1
    return below + sum(line.startswith(("#", "--")) or "  # " in line for line in lines)


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_comments__are_few() -> None:
    """Comments say why, so there are few of them, but not none."""
    lines = sum(bool(line.strip()) for file in FILES for line in file.read_text("utf-8").splitlines())
    share = 100 * sum(map(comments, FILES)) / lines
    assert COMMENTS[0] <= share <= COMMENTS[1]


def queries() -> Iterator[str]:
    """Yield the name of each constant that holds SQL."""
    for tree in TREES.values():
        for node in tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=constant)], value=value) if holds_sql(value):
                    yield constant
                case ast.AnnAssign(target=ast.Name(id=constant), value=ast.expr() as value) if holds_sql(value):
                    yield constant


def holds_sql(value: ast.expr) -> bool:
    texts = (node.value for node in ast.walk(value) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return any(SQL.match(each) for each in texts)


def test_queries__have_names_of_their_own() -> None:
    """Whoever finds a query's name anywhere finds one query."""
    found = Counter(queries())
    assert len(found) > 50
    assert [constant for constant, count in found.items() if count > 1] == []


@pytest.mark.parametrize("value", [value for value in vars(keys).values() if isinstance(value, str) and "." in value])
def test_names__stand_in_keys_alone(value: str) -> None:
    """Names in Redis and of tasks are written in `keys`, and nowhere else but where the type of a message is."""
    if value == keys.__doc__ or not value.startswith("participation."):
        return
    literal = f'"{value}"'
    homes = {name(file) for file in FILES if literal in file.read_text("utf-8")} - {"ingest/fast_decode.py"}
    assert homes <= {"keys.py"} or value == "participation.keys"


def test_modules__have_a_docstring() -> None:
    """Each file says what comes in and what goes out."""
    assert [name(file) for file, tree in TREES.items() if not ast.get_docstring(tree)] == []


@pytest.mark.parametrize(
    ("words", "home"),
    [
        ("advisory_xact_lock", "store/locks.py"),
        ("create_engine(", "store/database.py"),
        ("Redis.from_pool(", "redis_client.py"),
        ("Redis.from_url(", None),
        ("0o600", "private_files.py"),
        ("import lzma", "compression.py"),
        ("timedelta(minutes=5)", "limits.py"),
        ("Redis refuses to take", "publish/sender.py"),
        ("write PLATFORM:ACCOUNT, for example", "accounts.py"),
        ("failpoint", None),
        (".getLogger(__name__)", None),
    ],
)
def test_things__have_one_home(words: str, home: str | None) -> None:
    """What several parts need is written once, and they import it."""
    assert [name(file) for file in FILES if words in file.read_text("utf-8")] == ([home] if home else [])
