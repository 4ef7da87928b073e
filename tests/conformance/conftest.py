"""The servers of the conformance suites, one of each kind per session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.channel_world import BARE, FOLDERS, GMAIL, KINDS, PLAIN, QRESYNC, World, make_world
from tests.conformance.mail_source import Servers, running_servers
from tests.support.mail_sync import Template


@pytest.fixture(scope="session")
def mail_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that are started when a test first asks for them."""
    with running_servers(tmp_path_factory.mktemp("mail-servers")) as servers:
        yield servers


@pytest.fixture(scope="session")
def mail_template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """An empty database to copy."""
    return Template.make(tmp_path_factory.mktemp("mail-template"))


@pytest.fixture(params=KINDS, ids=str)
def world(request: pytest.FixtureRequest, mail_servers: Servers, mail_template: Template) -> Iterator[World]:
    yield from make_world(request.param, mail_servers, mail_template)


@pytest.fixture(params=FOLDERS, ids=str)
def folders(request: pytest.FixtureRequest, mail_servers: Servers, mail_template: Template) -> Iterator[World]:
    """A server whose folders are containers."""
    yield from make_world(request.param, mail_servers, mail_template)


@pytest.fixture(params=[GMAIL, PLAIN, QRESYNC, BARE], ids=str)
def sandboxed(request: pytest.FixtureRequest, mail_servers: Servers, mail_template: Template) -> Iterator[World]:
    """A server whose traffic is counted and which fails when told to."""
    yield from make_world(request.param, mail_servers, mail_template)


@pytest.fixture
def gmail(mail_servers: Servers, mail_template: Template) -> Iterator[World]:
    yield from make_world(GMAIL, mail_servers, mail_template)
