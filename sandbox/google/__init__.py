"""PRETENDS: Google's identity service and People API over HTTP (Calendar joins as a further router).
Start it with `GoogleDouble`; imports nothing of Twinbox."""

from sandbox.google.authorization import Consent
from sandbox.google.directory import Client, User
from sandbox.google.identity import SigningKey, new_signing_key
from sandbox.google.people_api import PeopleApi
from sandbox.google.people_book import Book
from sandbox.google.people_http import InProcessHttp, access_token
from sandbox.google.people_knobs import PeopleKnobs
from sandbox.google.people_wire import PeopleAnswer, PeopleRequest
from sandbox.google.records import TokenInfo
from sandbox.google.server import GoogleDouble

__all__ = [
    "Book",
    "Client",
    "Consent",
    "GoogleDouble",
    "InProcessHttp",
    "PeopleAnswer",
    "PeopleApi",
    "PeopleKnobs",
    "PeopleRequest",
    "SigningKey",
    "TokenInfo",
    "User",
    "access_token",
    "new_signing_key",
]
