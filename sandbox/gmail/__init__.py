"""An asyncio Gmail double: IMAP and SMTP over TLS on free loopback ports, for the demo and the tests.

Start it with `GmailDouble`; it knows nothing of Twinbox and keeps everything in memory.
"""

from sandbox.gmail.faults import Fault
from sandbox.gmail.names import LANGUAGES, FolderNames
from sandbox.gmail.profile import PlainProfile
from sandbox.gmail.server import GmailDouble

__all__ = ["LANGUAGES", "Fault", "FolderNames", "GmailDouble", "PlainProfile"]
