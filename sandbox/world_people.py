"""PRETENDS the people of the demo world: Anna's address book at the stand-in for Google, and the customers of the CRM.
As plain data: serving the book is left to `google`, taking the customers in to whoever plays the CRM."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from sandbox.google.people_book import Book

TOM = "tom@nordwind.example"
PRIYA = "priya@nordwind.example"
HELENE = "helene@atelier-lefevre.example"
JUERGEN = "j.mueller@muellerbau.example"
OFFICE = "office@lodz-tools.example"
GRACE = "grace@example.com"
LEO = "leo@example.com"
OLIVIA = "olivia@hosting.example"
IVAN = "petrov@sever-plus.example"
KATRIN = "oeztuerk@muellerbau.example"
CLUB = "Sailing club"  # a label of Anna's own
PRIVATE = 30
BUSINESS = 5

_GIVEN = ("Mia", "Ben", "Lina", "Noah", "Ida", "Paul", "Zoe", "Emil", "Clara", "Theo")
_FAMILY = ("Keller", "Brunner", "Okoye", "Lang", "Sato", "Novak")


@dataclass(frozen=True, slots=True)
class Customer:
    """A contact of the CRM: `known_as` is the CRM's own id, `body` its fields, `tag` the name of a tag or ""."""

    known_as: str
    body: dict[str, Any]
    tag: str = ""


def fill_book(book: Book, *, seed: int = 1) -> None:
    """Give Anna the contacts she has at Google: a few of her business, and private ones that are nobody's business."""
    club = book.add_label(CLUB)
    book.add(_tom(), [club])
    book.add(_card("Priya", "Raman", PRIYA, phone="+44 20 7946 0102", company="Nordwind Ltd"))
    book.add(_card("Hélène", "Lefèvre", HELENE, phone="+33 1 70 18 99 01", company="Atelier Lefèvre"))
    book.add(_card("Jürgen", "Müller", JUERGEN, phone="+49 451 3050 0101"))
    book.add(_card("Wojtek", "(Łódź Tools)", OFFICE, phone="+48 42 555 01 01"))
    rng = random.Random(seed)
    for number in range(PRIVATE):
        given, family = rng.choice(_GIVEN), rng.choice(_FAMILY)
        book.add(_card(given, family, f"{given.lower()}.{number}@home.example", phone=f"+41 44 668 {1800 + number}"))


def _card(given: str, family: str, address: str, *, phone: str, company: str = "") -> dict[str, Any]:
    card = {
        "names": [{"givenName": given, "familyName": family}],
        "emailAddresses": [{"value": address, "type": "work"}],
        "phoneNumbers": [{"value": phone, "type": "mobile"}],
    }
    return card | ({"organizations": [{"name": company}]} if company else {})


def _tom() -> dict[str, Any]:
    """Somebody with much that a CRM has no field for."""
    card = _card("Tom", "Whitfield", TOM, phone="+44 7700 900101", company="Nordwind Ltd")
    return card | {
        "phoneNumbers": [
            {"value": "+44 7700 900101", "type": "mobile"},
            {"value": "+44 1983 555 010", "type": "Boat radio"},
        ],
        "organizations": [{"name": "Nordwind Ltd", "title": "Buyer"}],
        "userDefined": [{"key": "Boat", "value": "Sea Swallow"}],
        "relations": [{"person": "Ruth Whitfield", "type": "spouse"}],
        "photos": [{"url": "https://photos.example/tom.jpg"}],
    }


def customers(mine: str, company: str) -> tuple[Customer, ...]:
    """The CRM's contacts; `mine` and `company` name the personal and the corporate tag that some of them bear."""
    return (
        _customer(2001, "Grace", "Okafor", GRACE, mine, organization="Okafor Design", title="Owner"),
        _customer(2002, "Leo", "Brandt", LEO, mine, organization="Brandt & Co"),
        _customer(2003, "Olivia", "Hart", OLIVIA, mine, organization="Hosting Ltd", title="Support"),
        _customer(2004, "美咲", "田中", "tanaka@sakura-parts.example", mine, organization="Sakura Parts"),
        _customer(2005, "Мария", "Соколова", "maria@sever-plus.example", mine, organization="Север Плюс"),
        _customer(2006, "Иван", "Петров", IVAN, mine, organization="Север Плюс"),
        _customer(2007, "Jürgen", "Müller", JUERGEN, organization="Müller Bau", title="Managing director"),
        _customer(2008, "Wojciech", "Dąbrowski", OFFICE, organization="Łódź Tools", title="Sales"),
        _customer(2009, "Zofia", "Wiśniewska", OFFICE, organization="Łódź Tools", title="Accounts"),
        _customer(2010, "Katrin", "Öztürk", KATRIN, company, organization="Müller Bau"),
    )


def _customer(number: int, given: str, family: str, address: str, tag: str = "", **more: str) -> Customer:
    emails = [{"value": address, "label": "work", "primary": True}]
    return Customer(f"crm-{number}", {"given_name": given, "family_name": family, "emails": emails, **more}, tag)
