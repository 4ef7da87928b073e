"""PRETENDS a small world: the mailbox Anna has at the stand-in for Gmail, the same for the same seed.
The mail that arrives while a demo plays is made in `world_letters`; serving it is left to `gmail`."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sandbox.gmail import GmailDouble
from sandbox.world_letters import (
    ANNA,
    SYSTEM_DAYS,
    Letter,
    Mail,
    attached,
    bounce,
    compose,
    invitation,
    long_report,
    newsletter,
    offer,
    out_of_office,
)
from sandbox.world_texts import CORRESPONDENTS, PHRASES, SPAM, Correspondent

DAYS = 150
TRASHED, SPAMMED, NEWSLETTERS = 9, 14, 12


def annas_mailbox(now: datetime, *, seed: int = 1, messages: int = 400) -> list[Letter]:
    """Anna's mail of the last months before `now` (aware), oldest first: `messages` in all, some of it in Trash and
    Spam. Conversations in six languages, nested and odd labels, attachments, a newsletter, an invitation, a bounce.
    """
    rng = random.Random(seed)
    letters = [*_specials(now), *_newsletters(now), *_unwanted(now, rng)]
    for letter in _conversations(now, rng):
        if len(letters) >= messages:
            break
        letters.append(letter)
    return sorted(letters, key=lambda letter: letter.when)


def fill_mailbox(gmail: GmailDouble, user: str, letters: Iterable[Letter]) -> None:
    """Put letters into a user's mailbox in the order given, with the dates they bear."""
    for letter in letters:
        gmail.mail.deliver(user, letter.raw, letter.labels, letter.flags, letter.when, letter.state)


def _specials(now: datetime) -> list[Letter]:
    days = [now - timedelta(days=day, hours=2) for day in SYSTEM_DAYS]
    return [
        offer(days[0]),
        invitation(days[1]),
        long_report(days[2]),
        bounce(days[3]),
        out_of_office(days[4]),
    ]


def _newsletters(now: datetime) -> list[Letter]:
    return [newsletter(now - timedelta(days=2 + 7 * week), week) for week in range(NEWSLETTERS)]


def _unwanted(now: datetime, rng: random.Random) -> list[Letter]:
    letters = []
    for number in range(SPAMMED):
        name, address, subject = SPAM[number % len(SPAM)]
        when = now - timedelta(days=rng.uniform(0.5, 28))
        mail = Mail(f"spam-{number}", f"{name} <{address}>", ANNA, subject, "Act now. This offer ends today.", when)
        letters.append(Letter(compose(mail), when, labels=(), state="spam"))
    for number in range(TRASHED):
        when = now - timedelta(days=rng.uniform(1, 28))
        text = "Your parcel has been handed to the carrier."
        mail = Mail(
            f"trash-{number}", "Parcels <no-reply@parcels.example>", ANNA, f"Parcel {4100 + number}", text, when
        )
        letters.append(Letter(compose(mail), when, labels=(), flags=("\\Seen",), state="trash"))
    return letters


def _conversations(now: datetime, rng: random.Random) -> Iterator[Letter]:
    """Conversations without end, the newer the denser."""
    number = 0
    while True:
        person = rng.choice(CORRESPONDENTS)
        start = now - timedelta(days=DAYS * rng.random() ** 1.6 + 0.05)
        yield from _conversation(person, start, now, number, rng)
        number += 1


def _conversation(
    person: Correspondent, start: datetime, now: datetime, number: int, rng: random.Random
) -> Iterator[Letter]:
    subject = rng.choice(PHRASES[person.language].subjects)
    extra = _extra_label(person, rng)
    earlier: list[str] = []
    when = start
    for turn in range(rng.choice((1, 1, 2, 2, 3, 3, 4, 6))):
        theirs = turn % 2 == 0
        who, whom = f"{person.name} <{person.address}>", ANNA
        mail = Mail(
            ident=f"c{number}-{turn}",
            sender=who if theirs else whom,
            to=whom if theirs else who,
            subject=subject if turn == 0 else f"Re: {subject}",
            text=_text(person, theirs, rng),
            when=when,
            earlier=tuple(earlier),
            files=_files(person, number, turn, rng),
        )
        labels: tuple[str, ...] = ("\\Sent",) if not theirs else ("\\Inbox",) if (now - when).days < 40 else ()
        labels += (person.label,) * bool(person.label) + extra
        fresh = theirs and (now - when) < timedelta(days=1)
        yield Letter(compose(mail), when, labels, () if fresh else ("\\Seen",))
        earlier.append(mail.message_id)
        when = min(when + timedelta(hours=rng.uniform(0.5, 30)), now - timedelta(minutes=rng.uniform(3, 400)))


def _extra_label(person: Correspondent, rng: random.Random) -> tuple[str, ...]:
    # Names that trip mail programs: brackets, digits alone, another script.
    pick = rng.random()
    if pick < 0.06:
        return ("[Mailbox]",)
    if pick < 0.30 and person.language == "ru":
        return ("Личное/Дача",)
    return ("\\Starred",) if pick < 0.15 else ()


def _text(person: Correspondent, theirs: bool, rng: random.Random) -> str:
    phrases = PHRASES[person.language]
    body = rng.sample(phrases.sentences, k=min(len(phrases.sentences), rng.randint(2, 4)))
    name = person.name if theirs else "Anna Keller"
    hello = phrases.hello if theirs else phrases.hello.replace("Anna", person.name.split()[0])
    return f"{hello}\n\n" + "\n".join(body) + f"\n\n{phrases.bye}\n{name}\n"


def _files(person: Correspondent, number: int, turn: int, rng: random.Random) -> tuple[tuple[str, str, bytes], ...]:
    if turn or rng.random() > 0.16:
        return ()
    name = {"ru": "Спецификация.pdf", "pl": "Zamówienie.pdf", "ja": "見積書.pdf"}.get(person.language, "Drawing.pdf")
    return (attached(name, rng.randrange(20_000, 120_000), seed=number),)
