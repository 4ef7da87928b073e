"""The package that is built has everything the tree has, and its dependencies are pinned and explained.
What the parts do is tested elsewhere; here only whether an installed Twinbox has them."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_INSTALLED = {"tests", "benchmarks", "scripts"}  # only of use in a checkout
BUILD_INPUTS = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages_on_disk() -> set[str]:
    """Every folder with Python files in it that an installation needs, as a dotted name."""
    folders = {path.parent.relative_to(ROOT) for path in ROOT.glob("[a-z]*/**/*.py")}
    return {".".join(folder.parts) for folder in folders if folder.parts[0] not in NOT_INSTALLED | {"build", "dist"}}


def data_files() -> set[str]:
    """What lies in the packages beside Python files."""
    top = {name.split(".")[0] for name in packages_on_disk()}
    found = (path.relative_to(ROOT) for name in top for path in (ROOT / name).rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.suffix != ".py" and "__pycache__" not in path.parts}


def names(requirements: list[str]) -> set[str]:
    """The names in requirements such as `psycopg[binary]>=3.3`."""
    return {re.split(r"[\[<>=!~;\s]", one, maxsplit=1)[0] for one in requirements}


def pinned(lock: str) -> dict[str, str]:
    """Every package of a lock with the text of its entry."""
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {entry.split("==")[0]: entry for entry in entries if "==" in entry}


def test_every_package_folder_is_listed(project: dict[str, Any]) -> None:
    assert set(project["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_every_package_folder_has_an_init_file() -> None:
    assert [name for name in packages_on_disk() if not (ROOT / name.replace(".", "/") / "__init__.py").exists()] == []


def test_the_entry_point_is_a_function(project: dict[str, Any]) -> None:
    for target in project["project"]["scripts"].values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_a_wheel_holds_every_package_and_data_file(tmp_path: Path, project: dict[str, Any]) -> None:
    inside = set(zipfile.ZipFile(build_wheel(tmp_path, project)).namelist())
    code = {
        path.relative_to(ROOT).as_posix()
        for name in packages_on_disk()
        for path in (ROOT / name.replace(".", "/")).glob("*.py")
    }
    assert code | data_files() <= inside
    assert {"providers/presets.toml", "migrations/env.py", "migrations/script.py.mako"} <= inside
    assert not {name for name in inside if name.split("/")[0] in NOT_INSTALLED}
    entry_points = next(name for name in inside if name.endswith("entry_points.txt"))
    assert entry_points.split("/")[0].startswith("twinbox-")
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def build_wheel(folder: Path, project: dict[str, Any]) -> Path:
    """Build as a user does, but from a copy (setuptools leaves folders behind) and without any network."""
    tree = folder / "tree"
    tops = {name.split(".")[0] for name in project["tool"]["setuptools"]["packages"]}
    for path in [ROOT / name for name in BUILD_INPUTS] + [one for top in tops for one in (ROOT / top).rglob("*")]:
        if path.is_file() and "__pycache__" not in path.parts:
            copy = tree / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    options = ["--disable-pip-version-check", "--no-cache-dir", "--wheel-dir", str(folder / "wheels"), str(tree)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "wheels").glob("twinbox-*.whl")
    return wheel


def test_every_dependency_is_explained(project: dict[str, Any]) -> None:
    wanted = names(project["project"]["dependencies"]) | names(project["project"]["optional-dependencies"]["dev"])
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `([\w-]+)` \|", page, flags=re.MULTILINE))
    assert explained == wanted


def test_every_dependency_is_pinned(project: dict[str, Any]) -> None:
    runtime, dev = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert names(project["project"]["dependencies"]) <= runtime.keys()
    assert names(project["project"]["optional-dependencies"]["dev"]) <= dev.keys()
    assert {name: dev[name].split()[0] for name in runtime} == {name: runtime[name].split()[0] for name in runtime}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_hashes_and_no_index(lock: str) -> None:
    assert [name for name, entry in pinned(lock).items() if "--hash=sha256:" not in entry] == []
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert "index-url" not in text


def test_what_is_silenced_for_mypy_is_a_dependency(project: dict[str, Any]) -> None:
    silenced = {
        module.removesuffix(".*")
        for override in project["tool"]["mypy"]["overrides"]
        if override.get("ignore_missing_imports")
        for module in override["module"]
    }
    for name in silenced:
        assert importlib.util.find_spec(name) is not None, name
