"""What docker/compose.scale.yml says, without containers: its commands, with its settings, on a real PostgreSQL and
RabbitMQ. Every process that is to be watched becomes ready, and ends well when it is told to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from scripts.generate_docs import DOCS
from tests.support.app_factory import make_key
from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.yaml_files import read_yaml

COMPOSE = DOCS.parent / "docker" / "compose.scale.yml"


@pytest.fixture
def environment(postgres_url: str, rabbitmq_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a service, its secrets in files below `tmp_path`."""
    for name, value in (("database_url", postgres_url), ("broker_url", rabbitmq_url), ("keys", make_key())):
        (tmp_path / name).write_text(value + "\n", encoding="ascii")
    told = read_yaml(COMPOSE)["services"]["worker"]["environment"]
    given = {name: str(value).replace("/run/secrets", str(tmp_path)) for name, value in told.items()}
    own = {name: value for name, value in os.environ.items() if not name.startswith("TWINBOX_")}
    return own | given | {"TWINBOX_DATA_DIR": str(tmp_path / "data")}


def command(service: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", *read_yaml(COMPOSE)["services"][service]["command"]]


@contextmanager
def running(service: str, environment: dict[str, str], log: Path) -> Iterator[str]:
    """A service as a process of its own; gives the address at which it answers."""
    address = f"127.0.0.1:{free_port()}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(service), env=environment | {"TWINBOX_METRICS_LISTEN": address}, stderr=file, stdout=file
        )
        try:
            yield f"http://{address}"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()


def answers(url: str) -> int:
    try:
        return httpx2.get(url, trust_env=False, timeout=10).status_code
    except httpx2.TransportError:
        return 0


def test_the_processes_of_the_scaled_installation_work_together(environment: dict[str, str], tmp_path: Path) -> None:
    services = read_yaml(COMPOSE)["services"]
    number = services["worker"]["deploy"]["replicas"]
    with ExitStack() as stack:
        early = stack.enter_context(running("worker", environment, tmp_path / "early.log"))
        wait_until(lambda: answers(f"{early}/healthz") == 200, "a worker to start")
        assert answers(f"{early}/readyz") == 503  # nobody has made the tables
        subprocess.run(command("migrate"), env=environment, check=True, timeout=120, capture_output=True)
        names = ["scheduler"] + ["worker"] * (number - 1)
        urls = [early] + [
            stack.enter_context(running(name, environment, tmp_path / f"{place}.log"))
            for place, name in enumerate(names)
        ]
        wait_until(lambda: {answers(f"{url}/readyz") for url in urls} == {200}, "all of them to be ready")
        told = httpx2.get(f"{urls[1]}/metrics", trust_env=False).text
        assert re.search(r"^twinbox_scheduler_turns_total [1-9]", told, re.MULTILINE)
        checked = subprocess.run(
            [sys.executable, "-m", "cli.main", "doctor"], env=environment, check=False, capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stdout
        assert "ok       broker: reachable" in checked.stdout
