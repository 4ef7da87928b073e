"""The servers of the conformance suites, one of each kind per session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
