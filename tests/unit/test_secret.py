"""A secret is not printed, copied out or serialised by accident."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import traceback
from dataclasses import asdict, dataclass

import orjson
import pytest

from core.secret import Secret

CANARY = "canary-7261"


@dataclass(frozen=True)
class Holder:
    token: Secret


def test_no_way_of_printing_shows_the_value() -> None:
    secret = Secret(CANARY)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>40}", f"{secret:>10}", f"{secret!a}"]
    shown += [f"{Holder(secret)}", f"{[secret]}", "{}".format(secret), "%s %r" % (secret, secret)]  # noqa: UP031, UP032
    assert all("***" in text and CANARY not in text for text in shown)


def test_a_log_line_and_a_traceback_do_not_show_the_value() -> None:
    stream = io.StringIO()
    logger = logging.Logger("test")
    logger.addHandler(logging.StreamHandler(stream))
    try:
        raise ValueError("refused", Secret(CANARY))
    except ValueError as error:
        logger.exception("with %s", Secret(CANARY))
        lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    text = stream.getvalue() + "".join(line for line in lines if "Secret(CANARY)" not in line)
    assert "***" in text
    assert CANARY not in text


def test_it_cannot_be_serialised_or_copied_unseen() -> None:
    for leak in (pickle.dumps, json.dumps, orjson.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(TypeError):
            leak(Secret(CANARY))
    with pytest.raises(TypeError):
        asdict(Holder(Secret(CANARY)))


def test_it_has_no_attributes_to_walk() -> None:
    with pytest.raises(TypeError):
        vars(Secret(CANARY))


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")
    assert Secret("a").reveal() == "a"
