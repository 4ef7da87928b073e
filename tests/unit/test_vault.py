"""A sealed value opens only with its key and only in its own place, and a worthless key ring stops the start."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Misconfigured
from core.secret import Secret
from core.settings import Settings
from sync.ids import MessageIds, new_id
from sync.keys import Key, keys_path, load_keys, make_keys_file, parse_keys
from sync.vault import Place, Sealed, Vault

ONE = Key("one", bytes((i * 73 + 11) % 251 for i in range(32)))
TWO = Key("two", bytes((i * i * 29 + 7) % 253 for i in range(32)))
PLACE = Place("row", "account", "password")


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def test_what_was_sealed_opens_in_the_same_place() -> None:
    vault = Vault((ONE,))
    assert vault.open(PLACE, vault.seal(PLACE, Secret("grüße"))) == Secret("grüße")


def test_the_same_value_is_sealed_differently_each_time() -> None:
    vault = Vault((ONE,))
    assert vault.seal(PLACE, Secret("x")).data != vault.seal(PLACE, Secret("x")).data


@pytest.mark.parametrize(
    "other", [replace(PLACE, row_id="r2"), replace(PLACE, owner="a2"), replace(PLACE, kind="refresh_token")]
)
def test_a_value_moved_to_another_row_owner_or_column_is_refused(other: Place) -> None:
    vault = Vault((ONE,))
    with pytest.raises(Misconfigured, match="does not fit its row"):
        vault.open(other, vault.seal(PLACE, Secret("x")))


def test_places_that_read_the_same_when_joined_are_told_apart() -> None:
    assert Place("a", "bc", "d").associated() != Place("ab", "c", "d").associated()


@pytest.mark.parametrize("position", range(0, 30, 3))
def test_a_changed_byte_is_noticed(position: int) -> None:
    vault = Vault((ONE,))
    sealed = vault.seal(PLACE, Secret("x"))
    data = bytearray(sealed.data)
    data[position % len(data)] ^= 1
    with pytest.raises(Misconfigured):
        vault.open(PLACE, Sealed(sealed.key_id, bytes(data)))


@pytest.mark.parametrize("length", [0, 5, 12, 20])
def test_a_truncated_value_is_refused(length: int) -> None:
    vault = Vault((ONE,))
    sealed = vault.seal(PLACE, Secret("something longer"))
    with pytest.raises(Misconfigured):
        vault.open(PLACE, Sealed(sealed.key_id, sealed.data[:length]))


def test_the_first_key_seals_and_every_key_opens() -> None:
    old, both = Vault((ONE,)), Vault((TWO, ONE))
    assert both.open(PLACE, old.seal(PLACE, Secret("x"))) == Secret("x")
    assert both.seal(PLACE, Secret("x")).key_id == "two"


def test_a_missing_key_is_named() -> None:
    with pytest.raises(Misconfigured, match="key one, which is not in the key ring"):
        Vault((TWO,)).open(PLACE, Vault((ONE,)).seal(PLACE, Secret("x")))


def test_nothing_of_a_vault_or_key_is_printed() -> None:
    shown = f"{Vault((ONE,))!r} {ONE!r} {Vault((ONE,)).seal(PLACE, Secret('plain text'))!r}"
    assert repr(ONE.value) not in shown
    assert "plain text" not in shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no encryption key"),
        ("# only a comment", "holds no encryption key"),
        ("k1", "form id:base64key"),
        (f"a b:{encoded(ONE.value)}", "form id:base64key"),
        ("k1:not base64!", "not base64"),
        (f"k1:{encoded(b'short')}", "has 5 bytes"),
        (f"k1:{encoded(bytes(32))}", "not random"),
        (f"k1:{encoded(bytes(range(32)))}", "not random"),
        (f"k1:{encoded(b'ab' * 16)}", "not random"),
        (f"k1:{encoded(b'correct horse battery staple 123')}", "not random"),
        (f"k1:{encoded(ONE.value)},k1:{encoded(TWO.value)}", "one key id twice"),
    ],
)
def test_a_worthless_key_ring_is_refused_without_showing_it(text: str, problem: str) -> None:
    with pytest.raises(Misconfigured, match=problem) as caught:
        parse_keys(text, "TWINBOX_KEYS")
    shown = f"{caught.value} {caught.value.advice}"
    assert "TWINBOX_KEYS" in shown
    assert text[3:] not in shown or len(text) < 4


def test_keys_may_stand_on_lines_or_between_commas() -> None:
    ring = f"# made in spring\nk2:{encoded(TWO.value)}\n\nk1:{encoded(ONE.value)} , k0:{encoded(ONE.value[::-1])}"
    assert [key.id for key in parse_keys(ring, "file")] == ["k2", "k1", "k0"]


def test_the_first_start_makes_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first = load_keys(settings)
    assert stat.S_IMODE(keys_path(settings).stat().st_mode) == 0o600
    assert load_keys(settings) == first
    assert [path.name for path in tmp_path.iterdir()] == ["keys.txt"]


def test_many_first_starts_agree_on_one_key(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: load_keys(settings), range(16)))
    assert len(set(rings)) == 1


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert make_keys_file(settings)
    before = keys_path(settings).read_text()
    assert not make_keys_file(settings)
    assert keys_path(settings).read_text() == before


def test_no_new_key_is_made_beside_an_existing_database(tmp_path: Path) -> None:
    (tmp_path / "twinbox.db").touch()
    with pytest.raises(Misconfigured, match="is missing but the database exists"):
        load_keys(Settings(data_dir=tmp_path))
    assert not (tmp_path / "keys.txt").exists()


def test_a_database_server_needs_a_key_from_the_settings(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no encryption key") as caught:
        load_keys(Settings(data_dir=tmp_path, database_url="postgresql://db/x"))
    assert "TWINBOX_KEYS" in caught.value.advice


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    make_keys_file(settings)
    keys_path(settings).chmod(0o644)
    with pytest.raises(Misconfigured, match="read by other users"):
        load_keys(settings)


def test_ids_are_random_and_of_fixed_length() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert {len(one) for one in ids} == {32}


def test_message_ids_ascend_even_when_the_clock_is_set_back() -> None:
    times = iter([5_000, 4_000, 4_000, 6_000])
    ids = MessageIds(lambda: next(times))
    taken = [*ids.take(3), *ids.take(2), *ids.take(1), *ids.take(2)]
    assert taken == sorted(set(taken))
    assert max(taken) < 2**63
