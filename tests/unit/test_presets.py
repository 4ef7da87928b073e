"""The provider registry: the presets as shipped, rows laid over them, and what is said about wrong ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import providers
from core.errors import Misconfigured
from core.provider import AuthMethod, Endpoint, LoginFormat, ProviderSpec, SentCopy
from core.types import Channel, Security
from providers import all_providers, find_by_domain, merge_spec, oauth_providers, read_presets

TLS, STARTTLS, PLAIN = Security.TLS, Security.STARTTLS, Security.PLAIN
ROW = """
[corp]
imap = { host = "imap.corp.example", security = "tls" }
smtp = { host = "smtp.corp.example", security = "starttls" }
"""

# The table of known services: IMAP host, SMTP host, port and security, who files the sent copy.
KNOWN = {
    "gmail": ("imap.gmail.com", "smtp.gmail.com", 465, TLS, "server"),
    "gmail-app-password": ("imap.gmail.com", "smtp.gmail.com", 587, STARTTLS, "server"),
    "microsoft365": ("outlook.office365.com", "smtp.office365.com", 587, STARTTLS, "server"),
    "outlook": ("outlook.office365.com", "smtp-mail.outlook.com", 587, STARTTLS, "server"),
    "yahoo": ("imap.mail.yahoo.com", "smtp.mail.yahoo.com", 465, TLS, "probe"),
    "aol": ("imap.aol.com", "smtp.aol.com", 465, TLS, "probe"),
    "yandex": ("imap.yandex.com", "smtp.yandex.com", 465, TLS, "probe"),
    "mailru": ("imap.mail.ru", "smtp.mail.ru", 465, TLS, "append"),
    "icloud": ("imap.mail.me.com", "smtp.mail.me.com", 587, STARTTLS, "probe"),
    "fastmail": ("imap.fastmail.com", "smtp.fastmail.com", 465, TLS, "append"),
    "zoho": ("imap.zoho.com", "smtp.zoho.com", 465, TLS, "server"),
    "gmx": ("imap.gmx.com", "mail.gmx.com", 587, STARTTLS, "append"),
    "godaddy": ("imap.secureserver.net", "smtpout.secureserver.net", 465, TLS, "append"),
    "gandi": ("mail.gandi.net", "mail.gandi.net", 587, STARTTLS, "append"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_service_has_its_hosts_and_advice(name: str) -> None:
    imap, smtp, port, security, sent_copy = KNOWN[name]
    spec = all_providers()[name]
    assert spec.imap == Endpoint(imap, 993, TLS)
    assert spec.smtp == Endpoint(smtp, port, security)
    assert spec.sent_copy is SentCopy(sent_copy)
    assert spec.advice
    assert spec.builtin


def test_nothing_else_is_built_in_but_any_other_server() -> None:
    assert set(all_providers()) == {*KNOWN, "imap"}


def test_gmail_signs_in_with_google_for_every_channel() -> None:
    gmail = all_providers()["gmail"]
    assert gmail.auth is AuthMethod.OAUTH2
    assert gmail.smtp_alternatives == (Endpoint("smtp.gmail.com", 587, STARTTLS),)
    assert gmail.oauth is not None
    assert gmail.oauth.channel_scopes[Channel.MAIL] == ("https://mail.google.com/",)
    assert set(gmail.oauth.channel_scopes) == set(Channel) == set(gmail.channels)
    assert gmail.oauth.extra_params["access_type"] == "offline"


def test_an_app_password_reaches_google_on_both_ports() -> None:
    spec = all_providers()["gmail-app-password"]
    assert spec.auth is AuthMethod.PASSWORD
    assert {one.port for one in (spec.smtp, *spec.smtp_alternatives)} == {465, 587}


def test_one_root_holds_every_google_address() -> None:
    google = oauth_providers({"google": "http://127.0.0.1:8000/"})["google"]
    assert google.authorize_url == "http://127.0.0.1:8000/o/oauth2/v2/auth"
    assert google.token_url == "http://127.0.0.1:8000/token"
    assert google.revoke_url == "http://127.0.0.1:8000/revoke"
    assert google.userinfo_url == "http://127.0.0.1:8000/v1/userinfo"
    assert google.certs_url == "http://127.0.0.1:8000/oauth2/v1/certs"
    assert all_providers({"google": "http://127.0.0.1:8000"})["gmail"].oauth == google
    assert oauth_providers({"google": ""})["google"].token_url == "https://oauth2.googleapis.com/token"


@pytest.mark.parametrize("root", ["google.example", "ftp://x", "http://", "https://x/?a=b", "http://[", "https://x#f"])
def test_a_root_that_is_no_web_address_is_told_by_its_variable(root: str) -> None:
    with pytest.raises(Misconfigured, match="TWINBOX_GOOGLE_BASE_URL"):
        oauth_providers({"google": root})


@pytest.mark.parametrize(
    ("address", "name"),
    [("a@gmail.com", "gmail"), ("A@GoogleMail.com ", "gmail"), ("x@hotmail.com", "outlook"), ("y@me.com", "icloud")],
)
def test_a_service_is_found_by_the_domain_of_an_address(address: str, name: str) -> None:
    found = find_by_domain(address)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("address", ["a@corp.example", "gmail", "", "a@notgmail.com", "a@gmail.com.evil.example"])
def test_an_unknown_domain_has_no_service(address: str) -> None:
    assert find_by_domain(address) is None


def test_ports_follow_from_the_security() -> None:
    spec = read_presets(ROW)["corp"]
    assert spec.imap == Endpoint("imap.corp.example", 993, TLS)
    assert spec.smtp == Endpoint("smtp.corp.example", 587, STARTTLS)
    assert (spec.title, spec.login, spec.sent_copy) == ("corp", LoginFormat.ADDRESS, SentCopy.PROBE)


def over(base: str, /, **row: object) -> ProviderSpec:
    return merge_spec(all_providers()[base], row)


def test_a_row_changes_what_it_names_and_keeps_the_rest() -> None:
    spec = over("gandi", name="ours", title="Ours", imap={"host": "IMAP.Corp.example"})
    assert (spec.name, spec.title, spec.builtin) == ("ours", "Ours", False)
    assert spec.imap == Endpoint("imap.corp.example", 993, TLS)
    assert spec.smtp == all_providers()["gandi"].smtp


def test_changed_security_brings_its_port_unless_one_is_given() -> None:
    assert over("gandi", imap={"security": "starttls"}).imap.port == 143
    assert over("gandi", imap={"security": "starttls", "port": 993}).imap.port == 993
    assert over("gandi", smtp={"security": "starttls"}).smtp.port == 587


def test_another_smtp_host_drops_the_alternatives_of_the_old_one() -> None:
    assert over("yahoo", smtp={"host": "smtp.corp.example"}).smtp_alternatives == ()
    assert over("yahoo", smtp={"port": 587, "security": "starttls"}).smtp_alternatives


def test_another_server_needs_its_hosts() -> None:
    with pytest.raises(Misconfigured, match=r"imap\.host: is missing; smtp\.host: is missing"):
        over("imap", name="corp")
    spec = over("imap", name="corp", imap={"host": "a.example"}, smtp={"host": "b.example"})
    assert spec.smtp == Endpoint("b.example", 465, TLS)
    assert spec.smtp_alternatives == ()


def test_a_row_may_bring_its_own_oauth_addresses() -> None:
    urls = {"authorize_url": "https://id.corp.example/auth", "token_url": "https://id.corp.example/token"}
    spec = over("gandi", auth="oauth2", oauth={**urls, "channel_scopes": {"mail": ["imap"]}})
    assert spec.oauth is not None
    assert spec.oauth.channel_scopes == {Channel.MAIL: ("imap",)}


WRONG = {
    'imap = { host = "a b" }': r"imap\.host: 'a b'",
    'imap = { host = "127.1" }': r"imap\.host",
    'imap = { host = "a.example", port = 70000 }': r"imap\.port: 70000",
    'imap = { host = "a.example", port = "993" }': r"imap\.port: '993'",
    'imap = { host = "a.example", port = true }': r"imap\.port: True",
    'imap = { host = "a.example", port = 0 }': r"imap\.port: 0",
    'imap = { host = "a.example", security = "ssl" }': r"imap\.security: 'ssl' is not one of tls, starttls, plain",
    'imap = { host = "a.example", prot = 1 }': r"imap\.prot: no such key; did you mean port\?",
    "imap = 993": r"imap: host, port and security",
    'logn = "own"': r"logn: no such key; did you mean login\?",
    'login = "email"': r"login: 'email' is not one of address, mailbox, own",
    'auth = "oauth"': r"auth: 'oauth' is not one of",
    "auth = 1": r"auth: 1 is not one of",
    'sent_copy = "client"': r"sent_copy",
    "title = 1": r"title: one line of text",
    'title = "a\\nb"': r"title: one line of text",
    'domains = "x.example"': r"domains: a list",
    'domains = ["a@b"]': r"domains: 'a@b'",
    'channels = ["post"]': r"channels: 'post'",
    "quirks = [1]": r"quirks",
    "smtp_alternatives = [1]": r"smtp_alternatives",
    'smtp_alternatives = [{ port = 0 }]': r"smtp_alternatives\.port",
    'oauth = { token_url = "x" }': r"oauth\.token_url: 'x' is not a web address; oauth\.authorize_url: is missing",
    "oauth = 1": r"oauth: a table",
    'auth = "oauth2"': r"oauth_provider: is needed",
    'auth = "oauth2"\noauth_provider = "gogle"': r"oauth_provider gogle: no such key; did you mean google",
}  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_value_is_named_with_file_entry_and_key(line: str) -> None:
    rest = "" if line.startswith("imap") else 'imap = { host = "a.example" }\n'
    text = f'[corp]\n{rest}smtp = {{ host = "b.example" }}\n{line}\n'
    with pytest.raises(Misconfigured, match=WRONG[line]) as caught:
        read_presets(text, source="extra.toml", oauth=oauth_providers())
    assert str(caught.value).startswith("extra.toml: [corp]")
    assert caught.value.advice


@pytest.mark.parametrize("security", ["imap", "smtp"])
def test_a_token_never_travels_without_tls(security: str) -> None:
    with pytest.raises(Misconfigured, match="plain"):
        over("gmail", **{security: {"security": "plain"}})


@pytest.mark.parametrize("name", ["Corp", "a b", "-a", "oauth", "", "a" * 70, "../x"])
def test_a_name_is_of_plain_letters(name: str) -> None:
    with pytest.raises(Misconfigured, match="name"):
        over("gandi", name=name)


@pytest.mark.parametrize("text", ["[corp", "a = ", "corp = 1", '[a]\nx = "\n', "[a]\n[a]\n", "\x00"])
def test_a_malformed_file_is_named_with_the_place(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"^extra\.toml: ") as caught:
        read_presets(text, source="extra.toml")
    assert caught.value.advice


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(Misconfigured) as caught:
        merge_spec(None, {"name": "corp", "logn": 1, "imap": {"host": "", "port": 0}, "smtp": {"security": "x"}})
    for key in ("logn", "imap.host", "imap.port", "smtp.host", "smtp.security"):
        assert f"{key}:" in str(caught.value)


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "dummy"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from dataclasses import replace\n"
        "from providers.generic import PROVIDERS as generic\n"
        "from providers.google import google_endpoints\n"
        "PROVIDERS = (replace(generic[0], name='dummy', domains=('dummy.example',)),)\n"
        "OAUTH = {'dummy': google_endpoints}\n"
    )
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    forget = providers._registry.cache_clear
    forget()
    yield
    monkeypatch.undo()
    sys.modules.pop("providers.dummy", None)
    forget()


@pytest.mark.usefixtures("planted")
def test_a_new_folder_is_found_without_being_named_anywhere() -> None:
    found = find_by_domain("a@dummy.example")
    assert found is not None
    assert found.name == "dummy"
    assert "dummy" in oauth_providers()
