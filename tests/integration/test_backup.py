"""`twinbox backup` and `twinbox restore`: what comes back is what was there, and nothing is lost on the way."""

from __future__ import annotations

import os
import sqlite3
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.errors import BadInput, Conflict, Misconfigured
from core.secret import Secret
from core.settings import Settings
from models.accounts import AccountRow
from sync import migrate
from sync.app import App, build_app
from sync.backup import write_backup
from sync.keys import keys_path
from sync.restore import check_backup, restore
from sync.vault import read_secret
from tests.support.app_factory import TestClock, make_app, make_key, make_password_account, make_settings, make_user
from tests.support.cli_run import Terminal

PASSWORD = "canary-password"
Remake = Callable[[dict[str, bytes]], dict[str, bytes]]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = make_app(tmp_path, keys="")
    yield app
    app.close()


def link(app: App, name: str = "ann") -> str:
    address = f"{name}@mail.example"
    person = make_user(app, f"{name}@crm.example")
    return make_password_account(app, person, address=address, password=PASSWORD, provider=f"of-{name}")


def elsewhere(tmp_path: Path, **options: Any) -> Settings:
    return make_settings(tmp_path / "other", **{"keys": ""} | options)


def addresses(settings: Settings) -> list[str]:
    """The linked accounts whose password opens."""
    app = build_app(settings)
    try:
        with app.db.reading() as session:
            accounts = session.query(AccountRow).order_by(AccountRow.address).all()
            for account in accounts:
                stored = read_secret(session, app.vault, account.id, "password")
                assert stored is not None
                assert stored.secret == Secret(PASSWORD)
            return [account.address for account in accounts]
    finally:
        app.close()


def put(settings: Settings, file: Path, *, replace_it: bool = False) -> Any:
    return restore(settings, file, replace=replace_it, clock=TestClock())


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {entry.name: found.read() for entry in tar if (found := tar.extractfile(entry)) is not None}


def remade(file: Path, remake: Remake) -> Path:
    """The same backup with other members."""
    path = file.with_name("remade.tar")
    with tarfile.open(path, "w") as tar:
        for name, data in remake(members(file)).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, BytesIO(data))
    return path


# -- there and back


def test_a_backup_with_keys_brings_everything_back_on_another_machine(app: App, tmp_path: Path) -> None:
    link(app)
    made = write_backup(app, tmp_path / "b.tar", with_keys=True)
    assert made.keys
    other = elsewhere(tmp_path)
    done = put(other, tmp_path / "b.tar")
    assert (done.keys_from, done.unopened, done.set_aside) == ("backup", 0, None)
    assert addresses(other) == ["ann@mail.example"]
    assert stat.S_IMODE(keys_path(other).stat().st_mode) == 0o600
    assert stat.S_IMODE((other.data_dir / "twinbox.db").stat().st_mode) == 0o600
    assert sorted(path.name for path in other.data_dir.iterdir() if path.name.startswith(".")) == []


def test_a_backup_holds_no_key_unless_asked_and_is_readable_by_its_owner_alone(app: App, tmp_path: Path) -> None:
    link(app)
    file = tmp_path / "b.tar"
    write_backup(app, file)
    assert set(members(file)) == {"manifest.json", "twinbox.db"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = keys_path(app.settings).read_text().partition(":")[2].strip()
    assert key.encode() not in file.read_bytes()
    assert PASSWORD.encode() not in file.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"b.tar", "data"}


def test_a_backup_made_while_others_write_is_of_one_moment(app: App, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            link(app, f"writer{number}")
            number += 1

    link(app)
    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            write_backup(app, tmp_path / f"{number}.tar", with_keys=True)
    finally:
        stop.set()
        thread.join()
    for number in range(5):
        found = check_backup(app.settings, tmp_path / f"{number}.tar")
        assert (found.unopened, found.manifest.bytes > 0) == (0, True)


def test_a_backup_of_an_older_layout_is_upgraded_when_it_is_next_opened(app: App, tmp_path: Path) -> None:
    migrate.downgrade(app, "-1")
    older = migrate.current(app)
    write_backup(app, tmp_path / "b.tar")
    migrate.upgrade(app)
    newest = migrate.current(app)
    app.close()
    assert put(app.settings, tmp_path / "b.tar", replace_it=True).manifest.revision == older
    again = build_app(app.settings)
    assert migrate.current(again) == older
    migrate.upgrade(again)
    assert migrate.current(again) == newest
    again.close()


# -- what is there is not lost


def test_a_database_is_never_replaced_without_being_told(app: App, tmp_path: Path) -> None:
    link(app)
    write_backup(app, tmp_path / "b.tar")
    link(app, "bob")
    app.close()
    with pytest.raises(Conflict, match="exists") as caught:
        put(app.settings, tmp_path / "b.tar")
    assert "--replace" in caught.value.advice
    assert addresses(app.settings) == ["ann@mail.example", "bob@mail.example"]


def test_a_database_that_is_replaced_is_kept_whole_beside_the_new_one(app: App, tmp_path: Path) -> None:
    link(app)
    write_backup(app, tmp_path / "b.tar")
    link(app, "bob")  # may still be in the write-ahead log only
    app.close()
    done = put(app.settings, tmp_path / "b.tar", replace_it=True)
    assert addresses(app.settings) == ["ann@mail.example"]
    assert done.set_aside == app.settings.data_dir / "twinbox.db.before-20260302T093000Z"
    done.set_aside.replace(app.settings.data_dir / "twinbox.db")
    for suffix in ("-wal", "-shm"):
        (app.settings.data_dir / f"twinbox.db{suffix}").unlink(missing_ok=True)
    assert addresses(app.settings) == ["ann@mail.example", "bob@mail.example"]


def test_a_database_in_use_is_not_replaced(app: App, tmp_path: Path) -> None:
    link(app)
    write_backup(app, tmp_path / "b.tar")
    before = (app.settings.data_dir / "twinbox.db").stat().st_ino
    with pytest.raises(Conflict, match="in use"):  # `app` holds connections open, as a service does
        put(app.settings, tmp_path / "b.tar", replace_it=True)
    assert (app.settings.data_dir / "twinbox.db").stat().st_ino == before
    assert not list(app.settings.data_dir.glob("twinbox.db.before-*"))


def test_a_damaged_database_can_be_replaced_and_its_log_is_not_read_into_the_new_one(app: App, tmp_path: Path) -> None:
    link(app)
    write_backup(app, tmp_path / "b.tar")
    app.close()
    path = app.settings.data_dir / "twinbox.db"
    path.write_bytes(b"no database at all" * 1_000)
    (app.settings.data_dir / "twinbox.db-wal").write_bytes(b"remains")
    put(app.settings, tmp_path / "b.tar", replace_it=True)
    assert addresses(app.settings) == ["ann@mail.example"]


def test_the_log_of_a_database_that_was_lost_is_not_read_into_the_new_one(app: App, tmp_path: Path) -> None:
    link(app)
    write_backup(app, tmp_path / "b.tar")
    link(app, "bob")
    path, log = app.settings.data_dir / "twinbox.db", app.settings.data_dir / "twinbox.db-wal"
    left = log.read_bytes()
    assert left
    app.close()
    path.unlink()
    log.write_bytes(left)
    put(app.settings, tmp_path / "b.tar")
    assert addresses(app.settings) == ["ann@mail.example"]


def test_a_file_that_exists_is_never_overwritten_by_a_backup(app: App, tmp_path: Path) -> None:
    file = tmp_path / "b.tar"
    file.write_text("mine")
    with pytest.raises(Conflict):
        write_backup(app, file)
    assert file.read_text() == "mine"


def test_a_backup_that_fails_leaves_nothing_behind(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tarfile.TarFile.add", full)
    with pytest.raises(Misconfigured, match="No space left"):
        write_backup(app, tmp_path / "b.tar")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


# -- what is refused


def flipped(found: dict[str, bytes]) -> dict[str, bytes]:
    data = bytearray(found["twinbox.db"])
    data[len(data) // 2] ^= 1
    return found | {"twinbox.db": bytes(data)}


def told(**values: object) -> Remake:
    def remake(found: dict[str, bytes]) -> dict[str, bytes]:
        return found | {"manifest.json": orjson.dumps(orjson.loads(found["manifest.json"]) | values)}

    return remake


@pytest.mark.parametrize(
    ("remake", "kind", "text"),
    [
        (flipped, BadInput, "damaged"),
        (told(format=2), Misconfigured, "format 2"),
        (told(revision="9999"), Misconfigured, "newer"),
        (told(created_at=5), BadInput, "manifest"),
        (told(extra=5), BadInput, "manifest"),
        (lambda found: found | {"manifest.json": b"{"}, BadInput, "manifest"),
        (lambda found: found | {"manifest.json": b" " * 70_000}, BadInput, "no backup"),
        (lambda found: found | {"../../evil": b"x"}, BadInput, "no backup"),
        (lambda found: {"manifest.json": found["manifest.json"]}, BadInput, "no backup"),
        (lambda found: {"twinbox.db": found["twinbox.db"]}, BadInput, "no backup"),
    ],
)
def test_what_is_no_whole_backup_is_refused_and_changes_nothing(
    app: App, tmp_path: Path, remake: Remake, kind: type[Exception], text: str
) -> None:
    link(app)
    write_backup(app, tmp_path / "b.tar")
    file = remade(tmp_path / "b.tar", remake)
    app.close()
    with pytest.raises(kind, match=text):
        check_backup(app.settings, file)
    with pytest.raises(kind, match=text):
        put(app.settings, file, replace_it=True)
    assert addresses(app.settings) == ["ann@mail.example"]
    assert not list(app.settings.data_dir.glob("twinbox.db.before-*"))
    assert not list(app.settings.data_dir.glob(".*"))
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9])
def test_a_backup_cut_short_is_refused(app: App, tmp_path: Path, share: float) -> None:
    file = tmp_path / "b.tar"
    write_backup(app, file)
    os.truncate(file, int(file.stat().st_size * share))
    with pytest.raises(BadInput):
        check_backup(app.settings, file)


def test_links_and_devices_in_a_backup_are_refused(app: App, tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        file = tmp_path / f"{kind!r}.tar"
        with tarfile.open(file, "w") as tar:
            entry = tarfile.TarInfo("twinbox.db")
            entry.type, entry.linkname = kind, "/etc/hostname"
            tar.addfile(entry)
        with pytest.raises(BadInput, match="no backup"):
            check_backup(app.settings, file)


def test_a_database_that_is_not_whole_is_refused_although_its_sum_is_right(app: App, tmp_path: Path) -> None:
    import hashlib

    def orphaned(found: dict[str, bytes]) -> dict[str, bytes]:
        path = tmp_path / "orphaned.db"
        path.write_bytes(found["twinbox.db"])
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM workspaces")
            connection.commit()
        data = path.read_bytes()
        return told(sha256=hashlib.sha256(data).hexdigest())(found | {"twinbox.db": data})

    link(app)
    write_backup(app, tmp_path / "b.tar")
    with pytest.raises(BadInput, match="not whole"):
        check_backup(app.settings, remade(tmp_path / "b.tar", orphaned))


def test_secrets_that_no_key_at_hand_opens_are_refused(app: App, tmp_path: Path) -> None:
    link(app)
    write_backup(app, tmp_path / "b.tar")
    for keys in ("", make_key("another")):
        other = replace(elsewhere(tmp_path), keys=keys)
        with pytest.raises(Misconfigured, match="do not open") as caught:
            put(other, tmp_path / "b.tar")
        assert "nothing was changed" in caught.value.advice
        assert not (other.data_dir / "twinbox.db").exists()
    assert check_backup(replace(app.settings, keys=make_key("another")), tmp_path / "b.tar").unopened == 1
    assert check_backup(elsewhere(tmp_path), tmp_path / "b.tar").keys_from == ""


def test_keys_that_are_here_go_before_those_in_the_backup(app: App, tmp_path: Path) -> None:
    link(app)
    write_backup(app, tmp_path / "b.tar", with_keys=True)
    old = keys_path(app.settings).read_text()
    rotated = f"{make_key('newer')}\n{old}"
    keys_path(app.settings).write_text(rotated)
    app.close()
    assert put(app.settings, tmp_path / "b.tar", replace_it=True).keys_from == "keys.txt"
    assert keys_path(app.settings).read_text() == rotated
    assert addresses(app.settings) == ["ann@mail.example"]


@pytest.mark.servers
def test_a_database_server_is_left_to_its_own_tools(postgres_url: str, tmp_path: Path) -> None:
    app = make_app(tmp_path, database_url=postgres_url)
    with pytest.raises(Misconfigured) as caught:
        write_backup(app, tmp_path / "b.tar")
    assert "pg_dump" in caught.value.advice
    with pytest.raises(Misconfigured) as caught:
        put(app.settings, tmp_path / "b.tar")
    assert "pg_restore" in caught.value.advice
    app.close()


# -- as commands


@pytest.fixture
def terminal(app: App, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    link(app)
    app.close()
    return Terminal(monkeypatch, {"TWINBOX_DATA_DIR": str(app.settings.data_dir)})


def test_the_commands_say_what_is_in_the_file_and_what_is_not(terminal: Terminal, tmp_path: Path, app: App) -> None:
    file = str(tmp_path / "b.tar")
    plain = terminal("backup", file)
    assert (plain.code, plain.err) == (0, "")
    assert f"keep a copy of {keys_path(app.settings)}" in plain.out
    assert terminal("backup", file).code == 1
    told_json = terminal("backup", str(tmp_path / "k.tar"), "--with-keys", "--json")
    assert "keys to every linked mailbox" in told_json.err
    assert told_json.json["keys"] is True
    checked = terminal("restore", file, "--check")
    assert (checked.code, "open 1 of its 1 secrets" in checked.out) == (0, True)
    refused = terminal("restore", file)
    assert (refused.code, "--replace" in refused.err) == (1, True)
    done = terminal("restore", file, "--replace", "--json")
    assert (done.code, done.json["secrets"], done.json["unopened"]) == (0, 1, 0)
    assert Path(done.json["set_aside"]).exists()


def test_a_check_without_the_keys_at_hand_fails(terminal: Terminal, tmp_path: Path, app: App) -> None:
    file = str(tmp_path / "b.tar")
    assert terminal("backup", file).code == 0
    keys_path(app.settings).rename(tmp_path / "elsewhere.txt")
    checked = terminal("restore", file, "--check")
    assert (checked.code, "no key at hand" in checked.out) == (1, True)


def test_a_backup_of_nothing_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch, {"TWINBOX_DATA_DIR": str(tmp_path / "nowhere")})
    assert terminal("backup", str(tmp_path / "b.tar")).code == 1
    assert list(tmp_path.iterdir()) == []
