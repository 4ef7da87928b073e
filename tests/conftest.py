"""How all tests run: fixtures of real servers, how many examples hypothesis tries, and no socket but to this machine.
What a server is and how it starts is in tests/support; what a folder of tests shares is in its own conftest.py."""

from __future__ import annotations

import importlib
import ipaddress
import os
import pkgutil
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

pytest_plugins = ["tests.support.fixtures"]
# A test that asks for one of these is marked `servers`.
SERVER_FIXTURES = frozenset({"dovecot", "postgres", "rabbitmq", "redis"})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--examples", type=int, metavar="N", help="random examples per property test (make fuzz)")


def pytest_configure(config: pytest.Config) -> None:
    set_examples(config.getoption("examples"))
    sys.addaudithook(keep_to_this_machine)


def set_examples(wanted: int | None) -> None:
    """By default the same examples in every run, so that a red build is the change's fault; asked for a number, new
    ones each time. Neither has a deadline (other programs share the machine) or a memory of earlier failures."""
    load_all_modules()
    settings.register_profile("same", derandomize=True, deadline=None, database=None)
    settings.load_profile("same")
    if wanted is not None:
        settings.register_profile(
            "new", derandomize=False, deadline=None, database=None, print_blob=True, max_examples=wanted
        )
        settings.load_profile("new")


def load_all_modules() -> None:
    """Hypothesis draws from the constants of all our modules that are loaded: were some loaded only by the tests that
    happen to run before, the examples would follow the order of the tests."""
    for package in ("core", "models", "providers", "sync", "cli", "sandbox"):
        root = importlib.import_module(package)
        for module in pkgutil.walk_packages(root.__path__, f"{package}."):
            importlib.import_module(module.name)


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """A command that a test runs sets up logging for its process; the next test begins without."""
    yield
    structlog.reset_defaults()


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server program: by fixture, or by a parameter that says it is a Dovecot."""
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())) or _names_dovecot(item):
            item.add_marker(pytest.mark.servers)


def _names_dovecot(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    return call is not None and any(getattr(value, "dovecot", False) is True for value in call.params.values())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """With CI=true a test marked with `skipif` fails instead: there, every program must be installed."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and call.when == "setup" and item.get_closest_marker("skipif"):
        report.outcome = "failed"
        report.longrepr = f"CI=true: {report.longrepr}"
    return report


# ---- sockets ---------------------------------------------------------------------------------------------


class OutsideWorld(AssertionError):
    """A test tried to reach another machine. An AssertionError, so that no handler of OSError takes it for bad luck."""


def keep_to_this_machine(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook (sys.addaudithook): sockets of this process reach loopback only, and names resolve without asking
    a name server. Child processes and libraries in C are not covered."""
    if event in ("socket.connect", "socket.sendto"):
        one, address = arguments
        if one.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise OutsideWorld(f"{event} to {address}")
    elif event == "socket.getaddrinfo" and not _is_local_name(arguments[0]):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known (tests ask no name server)")


def _is_loopback(host: str | bytes) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return _is_local_name(text)


def _is_local_name(host: str | bytes | None) -> bool:
    if host is None:
        return True
    text = (host.decode() if isinstance(host, bytes) else host).lower()
    if text in ("", "localhost", socket.gethostname().lower()):
        return True
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
