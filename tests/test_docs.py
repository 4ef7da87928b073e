"""The documentation says what the code does: generated pages are current, links and files exist, commands parse.
Only Markdown of this project is read; web addresses are not visited."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.settings import PREFIX, options
from scripts.generate_docs import DOCS, PAGES, Command, command_tree

ROOT = DOCS.parent
FOLDERS = ("core", "models", "providers", "sync", "cli", "sandbox", "migrations", "tests", "scripts", "benchmarks")

_FENCE = re.compile(r"^(?P<fence>```+)[^\n]*\n(?P<text>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_VARIABLE = re.compile(rf"\b{PREFIX}[A-Z][A-Z_]*[A-Z]\b")
_TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)
_PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")


def pages() -> list[Path]:
    """Every Markdown file that people are meant to read."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


@pytest.fixture(scope="module")
def tree() -> dict[str, Command]:
    return command_tree()


@pytest.fixture(scope="module")
def names_of_tests() -> frozenset[str]:
    return frozenset(name for file in (ROOT / "tests").rglob("*.py") for name in _TEST.findall(file.read_text()))


each_page = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: python -m scripts.generate_docs"


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = [link for link in links_of(page) if not leads_somewhere(page, link)]
    assert not broken


@each_page
def test_every_command_can_be_typed_as_it_is_written(page: Path, tree: dict[str, Command]) -> None:
    wrong = {typed: problem for typed in commands_of(page) if (problem := problem_of(typed, tree))}
    assert not wrong


@each_page
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {PREFIX + option.name.upper() for option in options()}
    named = set(_VARIABLE.findall(page.read_text(encoding="utf-8")))
    assert not {name for name in named if name not in known and name.removesuffix("_FILE") not in known}


@each_page
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {words[1] for words in lines_of(page, "make") if len(words) > 1}
    assert not named - targets


@each_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = {span for span in spans_of(page) if _PATH.fullmatch(span)}
    assert not {name for name in named if not (ROOT / name).exists()}


@each_page
def test_every_test_that_is_named_exists(page: Path, names_of_tests: frozenset[str]) -> None:
    assert not {span for span in spans_of(page) if span.startswith("test_")} - names_of_tests


def test_every_command_and_setting_is_documented(tree: dict[str, Command]) -> None:
    assert {name for name, command in tree.items() if f"# {name}\n" not in (DOCS / "cli.md").read_text()} == set()
    told = (DOCS / "configuration.md").read_text()
    assert {option.name for option in options() if f"`{PREFIX}{option.name.upper()}`" not in told} == set()


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("twinbox nonsense", "no command nonsense"),
        ("twinbox user delete ann", "no command user delete"),
        ("twinbox user add", "EMAIL is missing"),
        ("twinbox user add ann bob", "too many arguments"),
        ("twinbox user add ann --nickname A", "no option --nickname"),
        ("twinbox user add ann --role", "--role needs a value"),
        ("twinbox user list --json", ""),
        ("twinbox user add ann --role=admin", ""),
        ("twinbox user", ""),
        ("twinbox --help", ""),
    ],
)
def test_the_reader_of_commands_knows_right_from_wrong(typed: str, problem: str, tree: dict[str, Command]) -> None:
    assert problem_of(Typed(tuple(typed.split()[1:]), strict=True), tree) == problem


# ---- reading Markdown ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Typed:
    """A command as it stands in a page. In running text (`strict` false) its arguments may be left out."""

    words: tuple[str, ...]
    strict: bool


def links_of(page: Path) -> list[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return [link for link in _LINK.findall(_SPAN.sub("", text)) if "://" not in link and not link.startswith("mailto:")]


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists():
        return False
    if not anchor:
        return True
    headings = _HEADING.findall(_FENCE.sub("", target.read_text(encoding="utf-8")))
    return anchor in {slug(heading) for heading in headings}


def slug(heading: str) -> str:
    """The anchor that code hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def spans_of(page: Path) -> list[str]:
    return _SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def commands_of(page: Path) -> Iterator[Typed]:
    for span in spans_of(page):
        if span.startswith("twinbox "):
            yield Typed(tuple(shlex.split(span)[1:]), strict=False)
    for words in lines_of(page, "twinbox"):
        yield Typed(tuple(words[1:]), strict=True)


def lines_of(page: Path, program: str) -> Iterator[list[str]]:
    """Calls of a program in the code blocks of a page; for `make` those in running text too."""
    text = page.read_text(encoding="utf-8")
    blocks = [match["text"] for match in _FENCE.finditer(text)]
    if program == "make":
        blocks += [span for span in spans_of(page) if span.startswith("make ")]
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        for call in re.split(r"\||&&|;", line.strip().removeprefix("$ ")):
            words = shlex.split(call, comments=True)
            while words and ("=" in words[0] or words[0] == "sudo"):  # variables in front of the program
                words = words[1:]
            if words and Path(words[0]).name == program:
                yield list(without_redirections(words))


def without_redirections(words: list[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if word in ("<", ">", ">>", "2>"):
            next(rest, None)
        elif not word.startswith(("<", ">", "2>")):
            yield word


def problem_of(typed: Typed, tree: Mapping[str, Command]) -> str:
    """Why the command line would refuse this call, "" if it would not."""
    words = list(typed.words)
    if not words or words[0] in ("--help", "-h"):
        return ""
    name = words.pop(0)
    if name not in tree:
        return f"no command {name}"
    while tree[name].group and words and not words[0].startswith("-"):
        name = f"{name} {words.pop(0)}"
        if name not in tree:
            return f"no command {name}"
    return problem_of_words(words, tree[name], strict=typed.strict)


def problem_of_words(words: list[str], command: Command, *, strict: bool) -> str:
    arguments: list[str] = []
    while words:
        word = words.pop(0)
        if word in ("--help", "-h"):
            return ""
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        flag, equals, _ = word.partition("=")
        option = command.flags.get(flag)
        if option is None:
            return f"no option {flag}"
        if not option.is_flag and not equals:
            if not words:
                return f"{flag} needs a value" if strict else ""
            words.pop(0)
    if len(arguments) > len(command.arguments):
        return "too many arguments"
    missing = [one for one in command.arguments[len(arguments) :] if one.required]
    return f"{missing[0].metavar or missing[0].name.upper()} is missing" if missing and strict else ""
