"""Whatever is logged, by us or by a library: no secret and no control character reaches the log."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
import structlog

from core.secret import Secret
from sync.logs import redact, set_up_logging

CANARIES = (
    "ya29.a0AfH6SMB-canary_canary",
    "1//0gcanarycanarycanary",
    "Bearer canary.token-value",
    "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
)


class Screen(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def logging_to(level: str = "info", *, terminal: bool = False) -> Iterator[io.StringIO]:
    """What is written to standard error, with everything put back afterwards."""
    before, kept, stderr = structlog.get_config(), logging.getLogger().handlers[:], sys.stderr
    root_level = logging.getLogger().level
    levels = {name: logging.getLogger(name).level for name in ("imapclient", "dramatiq", "pika", "alembic")}
    written = Screen() if terminal else io.StringIO()
    logging.getLogger().handlers[:] = []
    sys.stderr = written
    try:
        set_up_logging(level)
        yield written
    finally:
        sys.stderr = stderr
        logging.getLogger().handlers[:] = kept
        logging.getLogger().setLevel(root_level)
        for name, old in levels.items():
            logging.getLogger(name).setLevel(old)
        structlog.configure(**before)


def event(**values: object) -> dict[str, object]:
    return dict(redact(None, "info", dict(values)))


@pytest.mark.parametrize("canary", CANARIES)
def test_a_token_is_masked_wherever_it_stands(canary: str) -> None:
    shown = event(
        event=f"refused {canary} today",
        reason=f"because {canary}",
        nested={"deep": [canary, {"deeper": (canary,)}]},
        raw=f"x {canary}".encode(),
        error=ValueError(canary),
    )
    assert "canary" not in repr(shown)
    assert canary not in repr(shown)
    assert "***" in str(shown["event"])


@pytest.mark.parametrize(
    "name", ["password", "refresh_token", "client_secret", "Authorization", "Set-Cookie", "code_verifier", "api_key"]
)
def test_what_is_secret_by_name_is_masked_whatever_it_is(name: str) -> None:
    assert event(**{name: "plain canary"}) == {name: "***"}
    assert event(outer={name: ["plain canary"]}) == {"outer": {name: "***"}}


def test_a_secret_is_masked_by_its_type() -> None:
    shown = event(value=Secret("canary"), many=[Secret("canary")], text=f"{Secret('canary')}")
    assert "canary" not in repr(shown)


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\x1b", "\0", "\x07", "\x7f", "\x9b", "\u202e", "\u2066", "\u2028", "\u2029", "\u200f"]
)
def test_control_characters_are_escaped(character: str) -> None:
    shown = event(event=f"a{character}b", reason=[f"a{character}b"], data=f"a{character}b".encode())
    assert character not in str(shown["event"])
    (reason,) = cast("list[str]", shown["reason"])
    assert character not in reason
    assert character not in str(shown["data"])


def test_ordinary_values_stay_as_they_are() -> None:
    values = {"event": "run finished", "count": 3, "share": 0.5, "done": True, "none": None, "name": "Zoë 山田"}
    assert event(**values) == values


def test_a_log_that_is_no_terminal_gets_one_json_object_for_each_line() -> None:
    with logging_to() as written:
        structlog.get_logger().info("first\nforged", account="a\r\nb", problem=CANARIES[0])
        structlog.get_logger().warning("second", counts={"new": 1})
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["first\\nforged", "second"]
    assert lines[0]["problem"] == "***"
    assert lines[1]["counts"] == {"new": 1}


def test_a_terminal_sees_no_escape_sequence_of_a_stranger() -> None:
    with logging_to(terminal=True) as written:
        structlog.get_logger().info("mail from \x1b]0;owned\x07", subject="\x1b[2J\nlevel=error", problem=CANARIES[1])
    text = written.getvalue()
    assert "\x1b]0" not in text
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert CANARIES[1] not in text
    assert len(text.splitlines()) == 1


def test_lines_of_libraries_are_masked_and_escaped_too() -> None:
    with logging_to() as written:
        logging.getLogger("pika").warning("refused %s\nforged \x1b[2J", CANARIES[0])
        try:
            raise ValueError(CANARIES[2])
        except ValueError:
            logging.getLogger("dramatiq").exception("failed")
    text = written.getvalue()
    assert "canary" not in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 2


def test_libraries_stay_silent_about_the_wire_even_when_debugging() -> None:
    with logging_to("debug") as written:
        for name in ("imapclient", "imaplib", "httpx2", "httpcore2", "dramatiq", "pika"):
            logging.getLogger(name).info("LOGIN ann canary")
        logging.getLogger("imapclient.imaplib").debug("LOGIN ann canary")
        structlog.get_logger().debug("ours")
    assert "canary" not in written.getvalue()
    assert "ours" in written.getvalue()


def test_the_level_can_be_set_anew() -> None:
    with logging_to("warning") as written:
        set_up_logging("info")
        logging.getLogger("some.library").info("now heard")
        structlog.get_logger().info("ours too")
    assert "now heard" in written.getvalue()
    assert "ours too" in written.getvalue()
