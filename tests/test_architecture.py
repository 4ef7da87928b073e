"""The rules of docs/architecture.md that an import linter cannot state, read off the source files.
Who may import whom at large is in pyproject.toml (`tool.importlinter`); style is ruff's, types are mypy's."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("core", "models", "providers", "sync", "cli", "sandbox")  # what the import contracts are about
FOLDERS = (*PACKAGES, "migrations", "benchmarks", "scripts", "tests")

MAX_LINES = 400
MAX_TEST_LINES = 600
MAX_FUNCTION = 50
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}

# How often mypy is silenced. Lower it whenever the count falls; it never rises.
MAX_TYPE_IGNORES = 12

# Where anything at all may be caught, and why.
MAY_CATCH_EXCEPTION = {"sync/jobs.py"}  # the end of a job: the run is recorded, the worker goes on
MAY_CATCH_BASE_EXCEPTION = {
    "cli/sync.py",  # carries it from the thread that syncs to the one that shows progress, and raises it there
    "sync/parser_pool.py",  # closes the processes started so far and raises it again
}
MAY_READ_ENVIRON = {"sync/worker.py", "migrations/env.py"}  # with cli/ and tests/: the entry points

BANNED_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill"}
BANNED_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}


@cache
def sources() -> tuple[str, ...]:
    """Every Python file of the project, as `folder/name.py`."""
    return tuple(
        sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    )


def outside(*folders: str) -> list[str]:
    """The files in none of these folders."""
    return [name for name in sources() if name.split("/")[0] not in folders]


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def imports(name: str) -> Iterator[str]:
    """The modules a file imports."""
    return imports_in(tree(name), PurePosixPath(name).parent.parts)


def imports_in(module: ast.Module, package: tuple[str, ...]) -> Iterator[str]:
    """The modules that a module of `package` imports, by absolute name; `from a import b` gives `a.b`."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a name or attribute; "" in front of what is neither, as in `f().c`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def caught(module: ast.Module) -> set[str]:
    """What the handlers of a module catch; `*` for a bare `except:`."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            found |= {dotted(kind) if kind else "*" for kind in kinds}
        elif isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "suppress":
            found |= {dotted(argument) for argument in node.args}
    return found


def calls(name: str) -> set[str]:
    """The dotted names a file calls."""
    return {dotted(node.func) for node in ast.walk(tree(name)) if isinstance(node, ast.Call)}


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


# ---- who knows whom --------------------------------------------------------------------------------------


def test_a_provider_folder_knows_only_itself_the_protocols_and_core() -> None:
    wrong = [
        f"{name} imports {module}"
        for name in sources()
        if name.startswith("providers/") and name.count("/") > 1
        for module in imports(name)
        if within(module, *PACKAGES) and not within(module, "core", "providers.protocols", own_folder(name))
    ]
    assert not wrong


def own_folder(name: str) -> str:
    return ".".join(name.split("/")[:2])


def test_the_protocols_know_no_provider() -> None:
    folders = {own_folder(name) for name in sources() if name.startswith("providers/") and name.count("/") > 1}
    wrong = [
        f"{name} imports {module}"
        for name in sources()
        if name.startswith("providers/protocols/")
        for module in imports(name)
        if within(module, *(folders - {"providers.protocols"}), "providers.presets")
    ]
    assert not wrong


def test_only_sync_opens_transactions() -> None:
    wrong = [name for name in outside("sync", "tests") for call in calls(name) if call.split(".")[-1] == "transaction"]
    assert not wrong


def test_only_tests_and_the_command_line_use_the_sandbox() -> None:
    wrong = [
        name for name in outside("cli", "tests", "sandbox") for module in imports(name) if within(module, "sandbox")
    ]
    assert not wrong


def test_nothing_imports_the_tests() -> None:
    # Measurements need the same servers.
    wrong = [name for name in outside("tests", "benchmarks") for module in imports(name) if within(module, "tests")]
    assert not wrong


def test_only_entry_points_read_the_environment() -> None:
    wrong = [name for name in outside("cli", "tests") if name not in MAY_READ_ENVIRON and reads_environ(name)]
    assert not wrong


def reads_environ(name: str) -> bool:
    names = {dotted(node) for node in ast.walk(tree(name)) if isinstance(node, ast.Attribute)}
    return bool((names | set(imports(name))) & {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv"})


# ---- size and names --------------------------------------------------------------------------------------


def test_no_file_is_too_long_to_read_at_once() -> None:
    # A migration is one statement after the other, and is never edited again.
    lengths = {name: (ROOT / name).read_text(encoding="utf-8").count("\n") for name in outside("migrations")}
    limits = {name: MAX_TEST_LINES if name.startswith("tests/") else MAX_LINES for name in lengths}
    assert {name: lines for name, lines in lengths.items() if lines > limits[name]} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    too_long = {
        f"{name}:{node.lineno} {node.name}": length
        for name in outside("tests", "migrations")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION
    }
    assert too_long == {}


def test_every_module_has_a_name_that_says_what_it_is_about() -> None:
    assert [name for name in sources() if VAGUE_NAMES & set(PurePosixPath(name).with_suffix("").parts)] == []


def test_every_module_says_what_it_does() -> None:
    told = {name: ast.get_docstring(tree(name)) for name in outside("tests") if tree(name).body}
    assert [name for name, docstring in told.items() if not docstring] == []


# ---- what may not be written -----------------------------------------------------------------------------


def test_only_the_end_of_a_job_catches_everything() -> None:
    broad = {"*", "Exception", "builtins.Exception"}
    assert {name for name in sources() if broad & caught(tree(name))} <= MAY_CATCH_EXCEPTION


def test_exits_and_interrupts_are_caught_only_where_they_are_raised_again() -> None:
    broad = {"BaseException", "builtins.BaseException"}
    assert {name for name in sources() if broad & caught(tree(name))} <= MAY_CATCH_BASE_EXCEPTION


def test_every_silenced_type_error_names_its_code() -> None:
    assert [where for where, comment in type_ignores() if not re.search(r"type: ignore\[[\w, -]+\]", comment)] == []


def test_silenced_type_errors_only_get_fewer() -> None:
    found = [where for where, _ in type_ignores()]
    assert len(found) <= MAX_TYPE_IGNORES, found


def type_ignores() -> Iterable[tuple[str, str]]:
    for name in sources():
        with tokenize.open(ROOT / name) as file:
            for token in tokenize.generate_tokens(file.readline):
                if token.type == tokenize.COMMENT and re.match(r"#\s*type:\s*ignore", token.string):
                    yield f"{name}:{token.start[0]}", token.string


def test_nothing_is_read_in_a_form_that_can_run_code() -> None:
    # tests/unit/test_secret.py shows that a secret cannot be pickled.
    wrong = [
        f"{name}: {one}"
        for name in sources()
        if name != "tests/unit/test_secret.py"
        for one in [*(m for m in imports(name) if within(m, *BANNED_MODULES)), *(calls(name) & BANNED_CALLS)]
    ]
    assert not wrong


# ---- the readers above -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("try: f()\nexcept: pass", {"*"}),
        ("try: f()\nexcept (ValueError, Exception): pass", {"ValueError", "Exception"}),
        ("with contextlib.suppress(Exception): f()", {"Exception"}),
        ("try: f()\nexcept socket.gaierror as e: pass", {"socket.gaierror"}),
    ],
)
def test_the_reader_of_handlers_sees_every_form(text: str, expected: set[str]) -> None:
    assert caught(ast.parse(text)) == expected


def test_the_reader_of_imports_resolves_relative_ones() -> None:
    module = ast.parse("from . import a\nfrom ..b import c\nimport d.e")
    assert list(imports_in(module, ("providers", "google"))) == ["providers.google.a", "providers.b.c", "d.e"]
