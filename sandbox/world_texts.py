"""PRETENDS what people write: names, subjects and sentences of the demo world, in six languages.
Putting messages together is left to `world`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Correspondent:
    """Somebody Anna writes with; `label` is where she files it, "" for nowhere."""

    name: str
    address: str
    language: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Phrases:
    """What a conversation in one language is made of."""

    hello: str
    subjects: tuple[str, ...]
    sentences: tuple[str, ...]
    bye: str


CORRESPONDENTS = (
    Correspondent("Tom Whitfield", "tom@nordwind.example", "en", "Clients/Nordwind"),
    Correspondent("Priya Raman", "priya@nordwind.example", "en", "Clients/Nordwind"),
    Correspondent("Jürgen Müller", "j.mueller@muellerbau.example", "de", "Clients/Müller Bau"),
    Correspondent("Katrin Öztürk", "oeztuerk@muellerbau.example", "de", "Clients/Müller Bau"),
    Correspondent("Hélène Lefèvre", "helene@atelier-lefevre.example", "fr", "Clients"),
    Correspondent("Wojciech Dąbrowski", "w.dabrowski@lodz-tools.example", "pl", "Clients/Łódź"),
    Correspondent("Мария Соколова", "maria@sever-plus.example", "ru", "Клиенты/Север"),
    Correspondent("Иван Петров", "petrov@sever-plus.example", "ru", "Клиенты/Север"),
    Correspondent("田中 美咲", "tanaka@sakura-parts.example", "ja", "Clients/Sakura"),
    Correspondent("Grace Okafor", "grace@example.com", "en", "Team"),
    Correspondent("Leo Brandt", "leo@example.com", "de", "Team"),
    Correspondent("Olivia Hart", "olivia@hosting.example", "en", "2024"),
)

PHRASES: Mapping[str, Phrases] = MappingProxyType(
    {
        "en": Phrases(
            "Hi Anna,",
            (
                "Offer for the spring order",
                "Delivery next week",
                "Minutes of Tuesday's call",
                "Question about invoice 1184",
                "Draft contract, second round",
                "Site visit in May",
            ),
            (
                "Thanks for the quick answer yesterday.",
                "The numbers look right to us, with one exception in line 7.",
                "Could you confirm the delivery date before Friday?",
                "I have put Priya in copy, she looks after the logistics.",
                "We would prefer the longer warranty if the price stays the same.",
                "Let me know whether Thursday at ten works for you.",
                "The drawings are nearly done; you get them tomorrow.",
            ),
            "Best regards",
        ),
        "de": Phrases(
            "Hallo Anna,",
            (
                "Angebot für die Halle in Lübeck",
                "Rückfrage zur Stückliste",
                "Termin am Donnerstag",
                "Änderung der Lieferadresse",
                "Rechnung über 1.284,50 €",
            ),
            (
                "vielen Dank für die schnelle Rückmeldung.",
                "Die Maße stimmen, nur die Höhe müssen wir noch prüfen.",
                "Könntest du mir die Unterlagen bis Freitag schicken?",
                "Über den Preis sollten wir noch einmal sprechen.",
                "Die Spedition kommt am Mittwoch gegen acht Uhr.",
                "Für das größere Modell bräuchten wir zwei Wochen länger.",
            ),
            "Viele Grüße",
        ),
        "fr": Phrases(
            "Bonjour Anna,",
            ("Devis n° 42 révisé", "Livraison à l'atelier", "Échantillons reçus", "Réunion de lundi"),
            (
                "merci pour votre réponse rapide.",
                "Les échantillons sont bien arrivés, la teinte est parfaite.",
                "Pourriez-vous préciser le délai pour la deuxième série ?",
                "Nous préférons être livrés avant midi, l'accès est étroit.",
                "Je vous rappelle dès que le devis est signé.",
            ),
            "Bien à vous",
        ),
        "pl": Phrases(
            "Cześć Aniu,",
            ("Zamówienie części zamiennych", "Termin odbioru", "Faktura korygująca", "Zdjęcia z montażu"),
            (
                "dziękuję za szybką odpowiedź.",
                "Części dotarły wczoraj, brakuje tylko jednej śruby.",
                "Czy możemy przesunąć odbiór na środę?",
                "Załączam poprawioną wersję zamówienia.",
                "Proszę o potwierdzenie do końca tygodnia.",
            ),
            "Pozdrawiam serdecznie",
        ),
        "ru": Phrases(
            "Здравствуйте, Анна!",
            ("Договор на поставку", "Сроки отгрузки", "Счёт на оплату № 318", "Вопрос по гарантии"),
            (
                "Спасибо за быстрый ответ.",
                "Договор подписан, оригинал отправили почтой.",
                "Подскажите, пожалуйста, когда ожидать отгрузку?",
                "Цену согласовали, осталось уточнить упаковку.",
                "Исправленная спецификация приложена.",
            ),
            "Желаю удачи",
        ),
        "ja": Phrases(
            "アンナ様",
            ("お見積りの件", "納期のご確認", "部品サンプルについて"),
            (
                "いつもお世話になっております。",
                "先日はお見積りをありがとうございました。",
                "納期についてご確認をお願いいたします。",
                "サンプルは来週お送りする予定です。",
            ),
            "よろしくお願いいたします",
        ),
    }
)

SPAM = (
    ("Lucky Lottery", "win@prizes.example", "You have been selected!!!"),
    ("Dr. Best Price", "sales@pills.example", "Cheap meds, no prescription"),
    ("Mrs. Fortune", "heir@transfer.example", "Confidential: 8,500,000 USD"),
)
