"""The image and the compose files: they name what exists, run as nobody in particular and hold no secret.
There need be no Docker where the tests run: the files are read, and what they say is held against the code."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from cli.health import health_routes
from core.settings import PREFIX, load_settings, options
from providers.google import calendar_client, client
from scripts.generate_docs import command_tree
from sync.app import App
from sync.keys import parse_keys
from tests.support.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
COMPOSE = ("compose.yml", "compose.scale.yml")
OURS = re.compile(r"twinbox:[\d.]+")
# An image of the default registry, at least with major and minor version.
PINNED = re.compile(r"[a-z]+:\d+\.\d+[\w.-]*")
SETTINGS = {PREFIX + option.name.upper(): option for option in options()}
_PASSWORD_IN_URL = re.compile(r"://[^/\s]*:[^/\s]*@")


# ---- reading ---------------------------------------------------------------------------------------------


def services(name: str) -> dict[str, dict[str, Any]]:
    return cast("dict[str, dict[str, Any]]", read_yaml(DOCKER / name)["services"])


def all_services() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name in COMPOSE:
        for service, told in services(name).items():
            yield name, service, told


each_service = pytest.mark.parametrize(
    ("file", "service", "told"), [pytest.param(*one, id=f"{one[0]}-{one[1]}") for one in all_services()]
)
each_of_ours = pytest.mark.parametrize(
    ("file", "service", "told"),
    [pytest.param(*one, id=f"{one[0]}-{one[1]}") for one in all_services() if OURS.fullmatch(one[2]["image"])],
)


def instructions(path: Path = DOCKER / "Dockerfile") -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line.strip()]


def last_stage() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word, rest in instructions():
        if word == "FROM":
            found.clear()
        found.setdefault(word, []).append(rest)
    return found


def image_environment() -> dict[str, str]:
    return dict(cast("tuple[str, str]", tuple(one.split("=", 1))) for one in shlex.split(" ".join(last_stage()["ENV"])))


def ignored(path: str) -> bool:
    """What docker/Dockerfile.dockerignore keeps out of the build; the last rule that fits decides."""
    out = False
    for line in (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.removeprefix("!")
        if rule and not rule.startswith("#"):
            parts = path.split("/")
            fits = any(fnmatch("/".join(parts[:end]), rule.removeprefix("**/")) for end in range(1, len(parts) + 1))
            fits = fits or (rule.startswith("**/") and any(fnmatch(part, rule[3:]) for part in parts))
            out = not line.startswith("!") if fits else out
    return out


# ---- the image -------------------------------------------------------------------------------------------


def test_the_image_is_built_on_pinned_images() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert bases
    assert [base for base in bases if not PINNED.fullmatch(base)] == []


def test_what_is_copied_into_the_image_exists_and_is_sent_to_the_builder() -> None:
    sources = [
        part
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from=")
        for part in rest.split()[:-1]
    ]
    assert len(sources) > 5
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if ignored(source.rstrip("/"))] == []


def test_every_package_is_copied_into_the_image() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    copied = {part.rstrip("/") for word, rest in instructions() if word == "COPY" for part in rest.split()[:-1]}
    assert {package.split(".")[0] for package in packages} <= copied


def test_nothing_private_is_sent_to_the_builder() -> None:
    for path in (
        ".git/config",
        "docker/secrets/keys",
        ".venv/bin/python",
        "keys.txt",
        "twinbox.db",
        "tests/conftest.py",
    ):
        assert ignored(path), path
    assert ignored("sync/__pycache__/app.cpython-311.pyc")
    assert not ignored("sync/app.py")


def test_the_image_runs_as_nobody_in_particular_and_keeps_its_state_in_one_volume() -> None:
    stage, environment = last_stage(), image_environment()
    user, _, group = stage["USER"][-1].partition(":")
    assert int(user) > 999
    assert int(group) > 999
    assert json.loads(stage["VOLUME"][-1]) == [environment["TWINBOX_DATA_DIR"]]
    assert any(f"--owner {user} --group {group} --mode 0700 /data" in run for run in stage["RUN"])


def test_the_image_starts_a_command_that_exists() -> None:
    stage = last_stage()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    (entry,) = json.loads(stage["ENTRYPOINT"][-1])
    assert entry in scripts
    assert " ".join(json.loads(stage["CMD"][-1])) in command_tree()
    assert {name for name in image_environment() if name.startswith(PREFIX)} <= SETTINGS.keys()


def test_everything_that_is_installed_comes_from_a_lock() -> None:
    installs = [
        part for word, rest in instructions() if word == "RUN" for part in rest.split("&&") if " install " in part
    ]
    pip = [part for part in installs if "pip install" in part]
    assert len(pip) == 3
    assert [part for part in pip if "--require-hashes" not in part and "--no-index" not in part] == []
    assert not any("apt" in part or "curl" in part or "://" in part for part in installs)


@pytest.mark.skipif(shutil.which("awk") is None, reason="needs awk")
def test_the_build_tool_is_cut_out_of_the_lock_whole() -> None:
    (program,) = re.findall(r"awk '([^']+)' requirements-dev.lock", (DOCKER / "Dockerfile").read_text(encoding="utf-8"))
    cut = subprocess.run(
        ["awk", program, "requirements-dev.lock"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert cut.startswith("setuptools==")
    assert cut.count("==") == 1
    assert cut.count("--hash=sha256:") == 2


def test_the_image_keeps_the_two_descriptions_that_are_used() -> None:
    (found,) = [rest for word, rest in instructions() if word == "RUN" and "discovery_cache" in rest]
    kept = set(re.findall(r"! -name (\S+\.json)", found))
    used = set()
    for module in (client, calendar_client):
        text = Path(cast("str", module.__file__)).read_text(encoding="utf-8")
        used |= {f"{name}.{version}.json" for name, version in re.findall(r'cut_document\("(\w+)", "(\w+)"', text)}
    assert len(used) == 2
    assert kept == used


def test_the_version_of_the_image_is_ours() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    named = {told["image"] for _, _, told in all_services() if OURS.fullmatch(told["image"])}
    assert named == {f"twinbox:{version}"}
    assert f"-t twinbox:{version} " in (DOCKER / "Dockerfile").read_text(encoding="utf-8")


# ---- the services ----------------------------------------------------------------------------------------


@each_service
def test_a_service_is_pinned_watched_and_started_again(file: str, service: str, told: dict[str, Any]) -> None:
    assert PINNED.fullmatch(told["image"])
    if told["restart"] == "no":  # a step that ends; others wait for it
        waiting = [one["depends_on"][service]["condition"] for one in services(file).values() if service in waits(one)]
        assert waiting
        assert set(waiting) == {"service_completed_successfully"}
        return
    assert told["restart"] == "unless-stopped"
    assert told["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "start_period", "retries"} <= told["healthcheck"].keys()


def waits(told: dict[str, Any]) -> dict[str, Any]:
    return cast("dict[str, Any]", told.get("depends_on", {}))


@each_service
def test_a_service_opens_no_port_and_has_no_rights_over_the_host(file: str, service: str, told: dict[str, Any]) -> None:
    assert not {"ports", "privileged", "network_mode", "pid", "cap_add", "devices", "env_file"} & told.keys()
    assert "no-new-privileges:true" in told["security_opt"]
    assert "docker.sock" not in str(told)


@each_of_ours
def test_a_service_of_ours_writes_to_its_volume_only(file: str, service: str, told: dict[str, Any]) -> None:
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["init"] is True
    assert "user" not in told  # that of the image
    data = image_environment()["TWINBOX_DATA_DIR"]
    places = [one.split(":")[1] for one in told.get("volumes", [])] + [one.split(":")[0] for one in told["tmpfs"]]
    assert data in places
    assert (ROOT / "docker" / told["build"]["context"]).resolve() == ROOT
    assert (ROOT / told["build"]["dockerfile"]).is_file()


@each_of_ours
def test_a_service_of_ours_runs_a_command_that_exists(file: str, service: str, told: dict[str, Any]) -> None:
    assert " ".join(told["command"]) in command_tree()


@each_of_ours
def test_a_service_of_ours_is_asked_where_it_answers(file: str, service: str, told: dict[str, Any], app: App) -> None:
    if "healthcheck" not in told:
        return
    check = told["healthcheck"]["test"]
    (address,) = re.findall(r"'(http://[^']+)'", check[-1])
    parts = urlsplit(address)
    host, _, port = told["environment"]["TWINBOX_METRICS_LISTEN"].rpartition(":")
    assert host in ("0.0.0.0", parts.hostname)
    assert parts.port == int(port)
    assert parts.path in {route.path for route in health_routes(app, schedules=True)}
    compile(check[-1], "healthcheck", "exec")
    assert json.dumps(check[1:]) in last_stage()["HEALTHCHECK"][-1]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    from tests.support.app_factory import make_app

    app = make_app(tmp_path_factory.mktemp("app"))
    yield app
    app.close()


# ---- settings and secrets --------------------------------------------------------------------------------


@each_service
def test_no_secret_stands_in_a_compose_file(file: str, service: str, told: dict[str, Any]) -> None:
    for name, value in told.get("environment", {}).items():
        assert not _PASSWORD_IN_URL.search(str(value)), name
        secret = name in SETTINGS and SETTINGS[name].metadata["secret"]
        assert not secret, f"{name} is a secret: name a file"
        if re.search("PASS|SECRET|TOKEN|KEY", name.removesuffix("_FILE")):
            assert name.endswith("_FILE"), name
        if name.endswith("_FILE"):
            assert Path(value).parent == Path("/run/secrets")
            assert Path(value).name in told["secrets"], f"{service} may not read {value}"


@each_of_ours
def test_every_setting_that_is_given_exists(file: str, service: str, told: dict[str, Any]) -> None:
    given = {name.removesuffix("_FILE") for name in told["environment"]}
    assert {name for name in given if not name.startswith(PREFIX)} == set()
    assert given <= SETTINGS.keys()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "secrets"
    make_secrets(folder)
    return folder


def make_secrets(folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.fail("openssl is missing")
    subprocess.run(["bash", str(DOCKER / "make-secrets.sh"), str(folder)], check=True, timeout=60)


@pytest.mark.parametrize("name", COMPOSE)
def test_every_secret_a_compose_file_names_is_made(name: str, secrets: Path) -> None:
    told = read_yaml(DOCKER / name)
    made = {path.name for path in secrets.iterdir()}
    assert {Path(one["file"]).name for one in told["secrets"].values()} <= made
    assert {Path(one["file"]).parent for one in told["secrets"].values()} == {Path("secrets")}
    used = {
        secret if isinstance(secret, str) else secret["source"]
        for service in told["services"].values()
        for secret in service.get("secrets", [])
    }
    assert used == told["secrets"].keys()
    assert {path.name for path in secrets.iterdir() if path.name.startswith(".")} == set()


def test_the_secrets_fit_each_other_and_the_services(secrets: Path) -> None:
    def said(name: str) -> str:
        return (secrets / name).read_text(encoding="ascii").strip()

    scale = services("compose.scale.yml")
    (key,) = parse_keys(said("keys"), "keys")
    assert key.id == "k1"
    database, broker = urlsplit(said("database_url")), urlsplit(said("broker_url"))
    assert (database.hostname, broker.hostname) == ("postgres", "rabbitmq")
    assert {database.hostname, broker.hostname} <= scale.keys()
    assert database.password == said("database_password")
    assert (database.username, database.path) == (
        scale["postgres"]["environment"]["POSTGRES_USER"],
        "/" + scale["postgres"]["environment"]["POSTGRES_DB"],
    )
    user, password = (line.partition(" = ")[2] for line in said("broker_settings").splitlines())
    assert (broker.username, broker.password) == (user, password)
    assert len({database.password, broker.password}) == 2


def test_secrets_are_never_made_anew(secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    (secrets / "broker_url").unlink()
    make_secrets(secrets)
    after = {path.name: path.read_bytes() for path in secrets.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"broker_url", "broker_settings"}
    make_secrets(secrets)
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == after


def test_only_the_owner_gets_at_the_secrets(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert "docker/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@each_of_ours
def test_the_settings_of_a_service_are_accepted(file: str, service: str, told: dict[str, Any], secrets: Path) -> None:
    environment = image_environment() | {
        name: str(value).replace("/run/secrets", str(secrets)) for name, value in told["environment"].items()
    }
    settings = load_settings(environment, default_data_dir=Path("/elsewhere"))
    assert settings.data_dir == Path("/data")
    assert parse_keys(settings.keys, "keys")
    if told["command"] != ["serve"]:
        assert settings.database_url.startswith("postgresql+psycopg://")
        assert settings.broker_url.startswith("amqp://")


def test_database_and_broker_are_reached_from_inside_only() -> None:
    told = read_yaml(DOCKER / "compose.scale.yml")
    assert told["networks"]["inside"]["internal"] is True
    for name, service in told["services"].items():
        assert service["networks"] == (["inside"] if name in ("postgres", "rabbitmq") else ["inside", "outside"])
    assert told["services"]["worker"]["deploy"]["replicas"] == 2


# ---- the reader ------------------------------------------------------------------------------------------


def test_the_reader_of_yaml_refuses_a_key_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "twice.yml"
    path.write_text("a: {restart: 'no'}\na: 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="twice: a"):
        read_yaml(path)
