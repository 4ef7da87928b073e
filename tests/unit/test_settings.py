"""Settings come from the environment alone, all problems are told at once, and secrets never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Misconfigured
from core.settings import Settings, load_settings, options

HOME = Path("/srv/twinbox")


def load(**environ: str) -> Settings:
    return load_settings(environ, default_data_dir=HOME)


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load()
    assert settings == Settings(data_dir=HOME)
    assert settings.database == "sqlite:////srv/twinbox/twinbox.db"


def test_values_are_converted_to_the_type_of_their_default() -> None:
    settings = load(TWINBOX_MAIL_PERIOD="60", TWINBOX_ALLOW_NETWORKS="127.0.0.0/8, ::1/128", TWINBOX_CA_FILE="/ca.pem")
    assert settings.mail_period == 60
    assert [str(network) for network in settings.allow_networks] == ["127.0.0.0/8", "::1/128"]
    assert settings.ca_file == Path("/ca.pem")


def test_variables_of_other_programs_are_left_alone() -> None:
    assert load(HOME="/home/ann", TWIN="x", PATH="/bin") == load()


def test_an_empty_variable_means_the_default() -> None:
    assert load(TWINBOX_MAIL_PERIOD="", TWINBOX_CA_FILE="") == load()


def test_an_unknown_variable_is_refused_with_the_likely_name() -> None:
    with pytest.raises(Misconfigured, match="TWINBOX_MAIL_PERIODE: no such setting; did you mean TWINBOX_MAIL_PERIOD"):
        load(TWINBOX_MAIL_PERIODE="60")


@pytest.mark.parametrize("value", ["0", "-1", "ten", "1.5", "\u0661", " "])
def test_a_number_must_be_a_whole_one_above_zero(value: str) -> None:
    with pytest.raises(Misconfigured, match="TWINBOX_WORKER_THREADS"):
        load(TWINBOX_WORKER_THREADS=value)


def test_a_choice_must_be_one_of_those_offered() -> None:
    with pytest.raises(Misconfigured, match="on-demand, background"):
        load(TWINBOX_MAIL_ATTACHMENTS="always")


@pytest.mark.parametrize(
    "value",
    [
        "http://crm.example.com",
        "crm.example.com",
        "https://",
        "https://x?y=1",
        "https://x/#y",
        "https://a:b@x",
        "https://x:z",
    ],
)
def test_a_public_address_must_be_an_https_one(value: str) -> None:
    with pytest.raises(Misconfigured, match="TWINBOX_PUBLIC_URL"):
        load(TWINBOX_PUBLIC_URL=value)


def test_a_public_address_may_have_a_path_and_loopback_needs_no_tls() -> None:
    assert load(TWINBOX_PUBLIC_URL="https://crm.example.com/twinbox/").public_url == "https://crm.example.com/twinbox"
    assert load(TWINBOX_PUBLIC_URL="http://127.0.0.1:8460").public_url == "http://127.0.0.1:8460"


@pytest.mark.parametrize("value", ["8460", ":8460", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1"])
def test_where_to_listen_is_a_host_and_a_port(value: str) -> None:
    with pytest.raises(Misconfigured, match="TWINBOX_LISTEN"):
        load(TWINBOX_LISTEN=value)
    assert load(TWINBOX_LISTEN="[::1]:8460").listen == "[::1]:8460"


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(Misconfigured) as caught:
        load(TWINBOX_ALLOW_NETWORKS="10.0.0.1/8", TWINBOX_MAIL_PERIOD="x", TWINBOX_NOTHING="1")
    assert all(name in str(caught.value) for name in ("ALLOW_NETWORKS", "MAIL_PERIOD", "NOTHING"))
    assert caught.value.advice


def test_a_secret_may_be_read_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://ann:pw@db/twinbox\n")
    assert load(TWINBOX_DATABASE_URL_FILE=str(secret)).database == "postgresql://ann:pw@db/twinbox"


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="TWINBOX_KEYS_FILE: cannot read"):
        load(TWINBOX_KEYS_FILE=str(tmp_path / "missing"))


def test_settings_do_not_show_their_secrets() -> None:
    settings = load(TWINBOX_KEYS="k1:abcdef", TWINBOX_DATABASE_URL="postgresql://a:hidden@db/x")
    assert "abcdef" not in repr(settings)
    assert "hidden" not in repr(settings)


def test_every_option_has_a_help_text() -> None:
    assert all(option.metadata["help"].endswith(".") for option in options())
