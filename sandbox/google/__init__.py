"""PRETENDS: Google's identity service, People API and Calendar API over HTTP.
Start it with `GoogleDouble`; imports nothing of Twinbox."""

from sandbox.google.api_http import InProcessHttp, access_token
from sandbox.google.api_wire import ApiAnswer, ApiRequest
from sandbox.google.authorization import Consent
from sandbox.google.calendar_api import CalendarApi
from sandbox.google.calendar_book import CalendarBook
from sandbox.google.calendar_channels import Notification, send_to_loopback
from sandbox.google.calendar_knobs import CalendarKnobs
from sandbox.google.calendar_records import Mail
from sandbox.google.directory import Client, User
from sandbox.google.identity import SigningKey, new_signing_key
from sandbox.google.people_api import PeopleApi
from sandbox.google.people_book import Book
from sandbox.google.people_knobs import PeopleKnobs
from sandbox.google.records import TokenInfo
from sandbox.google.server import GoogleDouble

# Their names while there was one API only.
PeopleAnswer = ApiAnswer
PeopleRequest = ApiRequest

__all__ = [
    "ApiAnswer",
    "ApiRequest",
    "Book",
    "CalendarApi",
    "CalendarBook",
    "CalendarKnobs",
    "Client",
    "Consent",
    "GoogleDouble",
    "InProcessHttp",
    "Mail",
    "Notification",
    "PeopleAnswer",
    "PeopleApi",
    "PeopleKnobs",
    "PeopleRequest",
    "SigningKey",
    "TokenInfo",
    "User",
    "access_token",
    "new_signing_key",
    "send_to_loopback",
]
