"""Prints the story of `twinbox demo`: who did what, what was counted, what was checked; draws it as SVG on request.
What is told is decided by `cli.demo_story` and its steps."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from cli.output import safe

WIDTH = 100
_INDENT = 4
_WHO = 9  # the column that says who acts
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)

Told = Callable[[int, int, str], None]


@dataclass(slots=True)
class Screen:
    """The terminal of a demo, and the picture drawn of it. `masks` replaces in the picture what differs each time."""

    terminal: Console
    picture: Console | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    drawing: bool = True

    def title(self, text: str) -> None:
        """The first line."""
        self._print(lambda shown: Text(shown(text), style="bold"))
        self._print(lambda _: Text())

    def part(self, text: str) -> None:
        """A part of the story begins."""
        if self.picture is not None and not self.drawing:
            self.picture.print()
        self.drawing = True
        sign = self._sign("━", "=")
        self._print(lambda shown: Text(f"{sign * 2} {shown(text)} ".ljust(WIDTH - 1, sign), style="magenta"))
        self._print(lambda _: Text())

    def step(self, number: int, text: str, *, brief: bool) -> None:
        """A step begins; of a `brief` one the picture shows no more than its title."""
        if self.picture is not None and not brief and not self.drawing:
            self.picture.print()
        self.drawing = not brief
        self._print(lambda shown: _title(number, shown(text)))

    def step_done(self, number: int, text: str) -> None:
        """The step ended well."""
        if self.picture is not None and not self.drawing:
            self.picture.print(Text.assemble(_title(number, f"{text} "), ("✓", "green")))
        self.line()

    def ended(self, text: str) -> None:
        """The last line of a story that went well."""
        if self.picture is not None and not self.drawing:
            self.picture.print()
        self.drawing = True
        self.line(text, "green")

    def tell(self, who: str, text: str) -> None:
        """Who did something, and what; `who` may be empty to go on."""
        style = {"Twinbox": "cyan", "Google": "yellow", "Gmail": "yellow"}.get(who, "dim")
        self._print(lambda shown: _columns(Text(who, style=style), safe(shown(text))))

    def counts(self, counts: Mapping[str, int], outcome: str) -> None:
        """What a run counted, by reason."""
        told = [f"{reason}: {count}" for reason, count in sorted(counts.items())]
        told = told or ["nothing had changed" if outcome == "ok" else "nothing"]
        text = ", ".join([*told, f"outcome: {outcome}"])
        self._print(lambda _: _columns(Text("counted", style="dim"), Text(text)))

    def passed(self, text: str) -> None:
        """A check that held."""
        self._print(lambda shown: _columns(Text(self._sign("✓", "ok"), style="green"), safe(shown(text))))

    def failed(self, text: str, expected: str, found: str) -> None:
        """A check that did not hold."""
        sign = Text(self._sign("✗", "FAILED"), style="red bold")
        detail = f"{text}\nexpected: {expected}\nfound:    {found}"
        self._print(lambda shown: _columns(sign, safe(shown(detail))))

    def rows(self, headings: Sequence[str], widths: Sequence[int], rows: Sequence[Sequence[str]]) -> None:
        """A small table with columns of these widths."""

        def drawn(shown: Callable[[str], str]) -> Padding:
            table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
            for heading, width in zip(headings, widths, strict=True):
                table.add_column(heading, width=width, no_wrap=True, overflow="ellipsis")
            for row in rows:
                table.add_row(*(safe(shown(cell)) for cell in row))
            return Padding(table, (0, 0, 0, _INDENT + _WHO), expand=False)

        self._print(drawn)

    def line(self, text: str = "", style: str = "") -> None:
        """A line of its own, never wrapped: an address to open, a command to copy."""
        self._print(lambda shown: Text(shown(text), style=style), wrap=False)

    def bar(self, done: int, total: int, seconds: float) -> None:
        """A finished progress bar with its pace."""
        width = 40
        filled = width if not total else width * done // total
        sign = self._sign("━", "=")
        body = Text.assemble(
            (sign * filled, "cyan"), (sign * (width - filled), "dim"), f" {done} of {total} in {seconds:.1f} s"
        )
        self._print(lambda _: _columns(Text(""), body))

    @contextmanager
    def progress(self) -> Iterator[Told]:
        """A live bar on a terminal, then its last state as a line if there was anything to do.

        The block calls `told(done, total, phase)`, from any thread.
        """
        began = time.monotonic()
        last = (0, 0)
        columns = (
            TextColumn(" " * (_INDENT + _WHO - 1)),
            BarColumn(40),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self.terminal, transient=True, disable=not self.terminal.is_terminal) as live:
            task = live.add_task("", total=None)

            def told(done: int, total: int, phase: str) -> None:
                nonlocal last
                last = (done, total)
                live.update(task, completed=done, total=total or None, description=str(safe(phase)))

            yield told
        if last[1]:
            self.bar(*last, time.monotonic() - began)

    def save(self, path: Path, title: str) -> None:
        """Write the picture. Raises OSError."""
        if self.picture is not None:
            drawn = self.picture.export_svg(title=title, unique_id="twinbox")
            # Without its fonts, which come from another host: looking at the picture shall tell nobody.
            path.write_text(_FONTS.sub("", drawn), "utf-8")

    def _sign(self, sign: str, plain: str) -> str:
        return plain if self.terminal.options.ascii_only else sign

    def _print(self, drawn: Callable[[Callable[[str], str]], Text | Padding], *, wrap: bool = True) -> None:
        self.terminal.print(drawn(str), crop=False, soft_wrap=not wrap)
        if self.picture is not None and self.drawing:
            self.picture.print(drawn(self._masked))

    def _masked(self, text: str) -> str:
        for found, mask in self.masks.items():
            text = text.replace(found, mask)
        return text


def open_screen(*, picture: bool = False) -> Screen:
    """A screen on standard output; without a terminal it is plain text of a fixed width."""
    terminal = Console(highlight=False)
    if not terminal.is_terminal or terminal.width > WIDTH:
        terminal = Console(highlight=False, width=WIDTH)
    drawn = Console(
        record=True, file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor", highlight=False
    )
    return Screen(terminal, drawn if picture else None)


def _title(number: int, text: str) -> Text:
    return Text.assemble((f"{number:<4}", "cyan"), (text, "bold"))


def _columns(left: Text, right: Text) -> Padding:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=max(_WHO - 1, len(left)))
    table.add_column(overflow="fold")
    table.add_row(left, right)
    return Padding(table, (0, 0, 0, _INDENT), expand=False)
