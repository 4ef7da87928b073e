"""Builds the world of `twinbox demo`: a temporary installation beside the stand-ins for Google and Gmail.
What happens in it is told by `cli.demo_story`. Everything is on loopback and gone at the end."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from core.errors import Misconfigured
from core.secret import Secret
from core.settings import PREFIX, Settings
from sandbox.clock import SandboxClock
from sandbox.gmail import GmailDouble
from sandbox.google import GoogleDouble
from sandbox.world import annas_mailbox, fill_mailbox
from sandbox.world_letters import ANNA_ADDRESS
from sandbox.world_meetings import JONAS, ZONE, fill_calendar
from sandbox.world_people import fill_book
from sync.app import App, build_app
from sync.registry import ProviderChange, save_provider
from sync.users import ensure_workspace

HOST = "127.0.0.1"
PROVIDER = "gmail"
# The world begins this long ago, so that the story can let time pass without running ahead of the wall clock.
HEAD_START = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class DemoWorld:
    """A running world. `began` is the moment its calendars are laid out around; `environment` lets `twinbox` commands
    in another terminal work on it."""

    began: datetime
    folder: Path
    clock: SandboxClock
    google: GoogleDouble
    gmail: GmailDouble
    app: App
    workspace: str
    ca_file: Path
    environment: Mapping[str, str]

    @property
    def masks(self) -> Mapping[str, str]:
        """What differs from one machine and run to the next, and what a picture shows in its place."""
        ports = {str(self.gmail.imap_port): "40993", str(self.gmail.smtps_port): "40465"}
        return {str(self.folder): "<temporary folder>", self.google.base_url: f"https://{HOST}:40443", **ports}

    def trusting(self) -> ssl.SSLContext:
        """A TLS context for a client that trusts the throw-away authority."""
        return ssl.create_default_context(cafile=str(self.ca_file))


@contextmanager
def demo_world(*, browser: bool) -> Iterator[DemoWorld]:
    """Start everything, remove everything afterwards. Raises Misconfigured when there is no place for it.

    `browser`: a person will open the consent page. It is then served as plain HTTP on loopback, since a browser
    would warn of a certificate that only this demo trusts; mail is on TLS in any case.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(_temporary_folder())
        tls = _write_tls(folder)
        clock = SandboxClock()
        clock.advance(-HEAD_START.total_seconds())
        began = clock.now()
        google = stack.enter_context(_google(clock, None if browser else (tls.certificate, tls.key)))
        gmail = stack.enter_context(_gmail(google, clock, tls))
        settings = _settings(folder, google, tls)
        app = build_app(settings, clock=clock.now)
        stack.callback(app.close)
        _migrate(app)
        workspace = ensure_workspace(app, settings.workspace)
        _people(google, gmail, began)
        _register(app, workspace, google, gmail)
        environment = {
            f"{PREFIX}DATA_DIR": str(settings.data_dir),
            f"{PREFIX}GOOGLE_BASE_URL": google.base_url,
            f"{PREFIX}CA_FILE": str(tls.ca),
            f"{PREFIX}ALLOW_NETWORKS": f"{HOST}/32",
        }
        yield DemoWorld(began, folder, clock, google, gmail, app, workspace, tls.ca, environment)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        temporary = tempfile.TemporaryDirectory(prefix="twinbox-demo-")  # with mode 0700
    except OSError as error:
        raise Misconfigured(
            f"cannot make a temporary folder: {error.strerror}", advice="Free disk space, or set TMPDIR."
        ) from error
    with temporary as folder:
        yield Path(folder)


@dataclass(frozen=True, slots=True)
class _Tls:
    ca: Path
    certificate: Path
    key: Path


def _write_tls(folder: Path) -> _Tls:
    authority = trustme.CA(organization_name="Twinbox demo, for this run only")
    server = authority.issue_cert(HOST, "localhost")
    tls = _Tls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority.cert_pem.write_to_path(tls.ca)
    tls.certificate.write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
    tls.key.touch(mode=0o600)
    server.private_key_pem.write_to_path(tls.key)
    return tls


def _google(clock: SandboxClock, tls: tuple[Path, Path] | None) -> GoogleDouble:
    # Who signed in is proven to a library that looks at the wall clock.
    return GoogleDouble(clock=clock, tls=tls, id_token_now=lambda: datetime.now(UTC))


def _gmail(google: GoogleDouble, clock: SandboxClock, tls: _Tls) -> GmailDouble:
    def check_token(token: str) -> tuple[str, datetime] | None:
        address, info = google.mail_user(token), google.token_active(token)
        return (address, info.expires_at) if address and info else None

    return GmailDouble(check_token=check_token, certfile=tls.certificate, keyfile=tls.key, clock=clock)


def _settings(folder: Path, google: GoogleDouble, tls: _Tls) -> Settings:
    return Settings(
        data_dir=folder / "data",
        google_base_url=google.base_url,
        ca_file=tls.ca,
        allow_networks=(ipaddress.ip_network(f"{HOST}/32"),),
    )


def _migrate(app: App) -> None:
    from sync.migrate import upgrade  # loads the migrations, as `cli.context` does

    upgrade(app)


def _people(google: GoogleDouble, gmail: GmailDouble, began: datetime) -> None:
    google.users.add(ANNA_ADDRESS, "Anna Keller")
    gmail.add_user(ANNA_ADDRESS)
    fill_mailbox(gmail, ANNA_ADDRESS, annas_mailbox(began))
    fill_book(google.people.book(ANNA_ADDRESS))
    google.users.add(JONAS, "Jonas Weber")
    for address in (ANNA_ADDRESS, JONAS):
        google.calendar.book(address).set_zone(ZONE)
    fill_calendar(google.calendar.book(ANNA_ADDRESS), began)


def _register(app: App, workspace: str, google: GoogleDouble, gmail: GmailDouble) -> None:
    """What an administrator does once: an OAuth client at Google, its keys and the servers in the registry."""
    client = google.clients.add("desktop", name="Twinbox demo")
    change = ProviderChange(
        spec={
            "imap": {"host": HOST, "port": gmail.imap_port, "security": "tls"},
            "smtp": {"host": HOST, "port": gmail.smtps_port, "security": "tls"},
            "smtp_alternatives": [{"host": HOST, "port": gmail.submission_port, "security": "starttls"}],
        },
        client_id=client.client_id,
        client_secret=Secret(client.client_secret),
    )
    save_provider(app, workspace, PROVIDER, change, create=False)
