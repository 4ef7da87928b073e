"""Every option of the service, declared once: default, meaning and secrecy.
Reading the process environment is left to the entry points (`cli`, `sync.worker`)."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.errors import Misconfigured

PREFIX = "TWINBOX_"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _option(help: str, *, default: Any, secret: bool = False) -> Any:
    return field(default=default, metadata={"help": help, "secret": secret}, repr=not secret)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Each is read from `TWINBOX_<NAME>` or, for secrets in files, from `TWINBOX_<NAME>_FILE`."""

    data_dir: Path = _option("Folder that holds all state of this installation.", default=Path())
    database_url: str = _option(
        "SQLAlchemy URL of the database; empty: SQLite in the data folder.", default="", secret=True
    )
    broker_url: str = _option(
        "amqp:// (RabbitMQ) or redis:// URL of the job broker; empty: in-process broker.",
        default="",
        secret=True,
    )
    keys: str = _option(
        "Key ring `id:base64key[,id:base64key]`: the first key seals, all open; empty: keys.txt in the data folder.",
        default="",
        secret=True,
    )
    google_base_url: str = _option(
        "Puts every Google address under this root (tests, private clouds); empty: Google itself.", default=""
    )
    ca_file: Path | None = _option("PEM file with an additional trusted certificate authority.", default=None)
    allow_networks: tuple[Network, ...] = _option(
        "Networks the connection guard lets through although they are loopback, private or link-local "
        "(comma-separated, e.g. 127.0.0.0/8,::1/128).",
        default=(),
    )
    public_url: str = _option(
        "https address under which the internet reaches `twinbox serve`: Google then tells of calendar changes at "
        "once; empty: they are asked for periodically only.",
        default="",
    )
    listen: str = _option(
        "HOST:PORT at which `twinbox serve` takes what comes to the public address (put a proxy with TLS before it).",
        default="127.0.0.1:8460",
    )
    workspace: str = _option("Workspace that commands work in when none is named.", default="default")
    mail_period: int = _option("Seconds between two periodic mail runs of an account.", default=300)
    mail_daily_bytes: int = _option(
        "Bytes that may be downloaded per account and day before mail runs pause until the next day.",
        default=1_500_000_000,
    )
    mail_first_bytes: int = _option("Bytes of each message fetched in the first pass.", default=32_768)
    mail_max_message: int = _option(
        "Largest message, in bytes, whose attachments are ever downloaded.", default=64_000_000
    )
    mail_attachments: str = _option(
        "`on-demand` or `background`: when attachment bytes are downloaded.", default="on-demand"
    )
    mail_gone: str = _option(
        "`keep` or `erase`: what happens to the stored copy of a message that left the mailbox.", default="keep"
    )
    calendar_guests: str = _option(
        "`none`, `externalOnly` (those who use no Google Calendar) or `all`: which guests Google mails when we write "
        "an event.",
        default="none",
    )
    calendar_kinds: str = _option(
        "`ordinary` or `all`: whether focus time, time out of office, places of work, birthdays and events that Gmail "
        "made come in as well, to be read only.",
        default="ordinary",
    )
    phone_region: str = _option(
        "Country (ISO 3166-1 alpha-2, e.g. DE) in which phone numbers without a country code are dialled; such numbers "
        "are matched only if it is set.",
        default="",
    )
    worker_threads: int = _option("Runs executed at the same time by one worker process.", default=4)
    lease_seconds: int = _option("Seconds after which a run of a dead worker may be taken over.", default=60)
    slice_seconds: int = _option("Seconds after which a run goes back to the end of the queue.", default=60)
    parser_memory: int = _option("Address space of the mail parser process, in bytes.", default=1_073_741_824)
    metrics_listen: str = _option(
        "HOST:PORT at which serve, worker and scheduler answer /healthz, /readyz and /metrics, e.g. 127.0.0.1:9464; "
        "not for the internet; empty: nowhere.",
        default="",
    )
    log_level: str = _option("debug, info, warning or error.", default="info")

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'twinbox.db'}"


def options() -> tuple[Field[Any], ...]:
    """The declared options, in order; `metadata` holds `help` and `secret`."""
    return fields(Settings)


def load_settings(environ: Mapping[str, str], *, default_data_dir: Path) -> Settings:
    """Build settings from environment variables.

    Raises Misconfigured with every problem at once: unknown `TWINBOX_*` names (with a likely
    correction), values of the wrong form, unreadable secret files.
    """
    names = {PREFIX + item.name.upper(): item for item in options()}
    problems: list[str] = []
    values: dict[str, Any] = {"data_dir": default_data_dir}
    for key in sorted(k for k in environ if k.startswith(PREFIX)):
        name, raw = key, environ[key]
        if key.endswith("_FILE") and key not in names and key.removesuffix("_FILE") in names:
            name = key.removesuffix("_FILE")
            try:
                raw = Path(raw).read_text(encoding="utf-8").strip()
            except OSError as error:
                problems.append(f"{key}: cannot read {raw}: {error.strerror}")
                continue
        option = names.get(name)
        if option is None:
            problems.append(_unknown(key, names))
            continue
        if raw == "" and option.default is not MISSING:
            continue
        try:
            values[option.name] = _convert(option, raw)
        except ValueError as error:
            problems.append(f"{key}: {error}")
    if problems:
        raise Misconfigured(
            "; ".join(problems), advice="Correct or unset these variables; `twinbox config show` lists all."
        )
    return Settings(**values)


def _unknown(key: str, names: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(key, names, n=1)
    return f"{key}: no such setting" + (f"; did you mean {near[0]}?" if near else "")


_CHOICES = {
    "mail_attachments": ("on-demand", "background"),
    "mail_gone": ("keep", "erase"),
    "calendar_guests": ("none", "externalOnly", "all"),
    "calendar_kinds": ("ordinary", "all"),
    "log_level": ("debug", "info", "warning", "error"),
}

# Beyond these a value is a slip of the keyboard, and times would leave the calendar.
_MOST = {"mail_period": 2_592_000, "worker_threads": 256, "lease_seconds": 86_400, "slice_seconds": 86_400}
_MOST_BYTES = 1 << 50


def _convert(option: Field[Any], raw: str) -> Any:
    if option.name == "allow_networks":
        return tuple(ipaddress.ip_network(part.strip()) for part in raw.split(",") if part.strip())
    if option.name in ("data_dir", "ca_file"):
        return Path(raw).expanduser()
    if isinstance(option.default, int):
        number = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 20 else 0
        most = _MOST.get(option.name, _MOST_BYTES)
        if not 1 <= number <= most:
            raise ValueError(f"{raw[:40]!r} is not a whole number above 0 and up to {most}")
        return number
    if option.name == "phone_region":
        if not (raw.isascii() and raw.isalpha() and len(raw) == 2):
            raise ValueError(f"{raw[:40]!r} is not a country of two letters, such as DE")
        return raw.upper()
    if option.name == "public_url":
        return _public_url(raw)
    if option.name in ("listen", "metrics_listen"):
        return _listen(raw)
    choices = _CHOICES.get(option.name)
    if choices and raw not in choices:
        raise ValueError(f"{raw!r} is not one of {', '.join(choices)}")
    return raw


def _public_url(raw: str) -> str:
    try:
        parts = urlsplit(raw)
        plain = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")  # to try it out
        usable = (parts.scheme == "https" or plain) and bool(parts.hostname) and not (parts.query or parts.fragment)
        usable = usable and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{raw[:80]!r} is not an https address such as https://crm.example.com")
    return raw.rstrip("/")


def _listen(raw: str) -> str:
    host, _, port = raw.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{raw[:80]!r} is not HOST:PORT, such as 127.0.0.1:8460")
    return raw
