"""PRETENDS: Google's identity service over HTTP (People and Calendar join as further routers).
Start it with `GoogleDouble`; imports nothing of Twinbox."""

from sandbox.google.authorization import Consent
from sandbox.google.directory import Client, User
from sandbox.google.identity import SigningKey, new_signing_key
from sandbox.google.records import TokenInfo
from sandbox.google.server import GoogleDouble

__all__ = ["Client", "Consent", "GoogleDouble", "SigningKey", "TokenInfo", "User", "new_signing_key"]
