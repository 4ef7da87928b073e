"""Words, names and paragraphs in five languages, ready encoded for mail bodies and headers.
How they are put together into messages is decided in `corpus_parts.py` and `corpus.py`."""

from __future__ import annotations

import base64
import binascii
import random
import textwrap
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["en", "de", "ru", "ja", "fr"]
Transfer = Literal["7bit", "8bit", "quoted-printable", "base64"]
Style = Literal["plain", "quote", "html"]

_WORDS: dict[Language, str] = {
    "en": "the offer of last week is ready and we can deliver to your team before Friday please check "
    "invoice price meeting contract customer project report draft number call office delivery order date "
    "open question answer change plan first second year month budget review result next step thanks with "
    "from about again still could would should have been not only also very much more than",
    "de": "das Angebot der letzten Woche ist fertig und wir können Ihrem Team vor Freitag liefern bitte prüfen "
    "Rechnung Preis Besprechung Vertrag Kunde Projekt Bericht Entwurf Nummer Anruf Büro Lieferung Größe "
    "Übersicht Änderung für über während größer schön natürlich Grüße Straße gemäß möglich später nächste "
    "Frage Antwort Jahr Monat Ergebnis Schritt Danke mit von auch nicht nur sehr mehr als",
    "ru": "предложение прошлой недели готово и мы можем поставить вашей команде до пятницы пожалуйста проверьте "
    "счёт цена встреча договор клиент проект отчёт черновик номер звонок офис доставка заказ дата вопрос "
    "ответ изменение план первый второй год месяц бюджет результат следующий шаг спасибо от также не "
    "только очень больше чем если когда нужно будет был уже ещё",
    "ja": "先週 の 見積もり が できました ので ご確認 ください 請求書 価格 会議 契約 お客様 案件 報告 番号 電話 "
    "事務所 納品 注文 日付 質問 回答 変更 計画 来年 今月 予算 結果 次 手順 ありがとう ございます と から も "
    "とても よろしく お願い します 担当 資料 添付 送ります",
    "fr": "notre offre de la semaine dernière est prête et nous pouvons livrer à votre équipe avant vendredi veuillez "
    "vérifier facture prix réunion contrat client projet rapport brouillon numéro appel bureau livraison "
    "commande date question réponse modification année mois résultat prochaine étape merci avec où déjà "
    "même très plus que",
}

_GIVEN_AND_FAMILY: dict[Language, tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]] = {
    "en": (
        (("Alice", "alice"), ("James", "james"), ("Mary Ann", "maryann"), ("Robert", "bob"), ("Priya", "priya")),
        (("Smith", "smith"), ("O'Brien", "obrien"), ("Taylor", "taylor"), ("Shah", "shah"), ("Lee, Jr.", "lee")),
    ),
    "de": (
        (("Jürgen", "juergen"), ("Käthe", "kaethe"), ("Björn", "bjoern"), ("Anna", "anna"), ("Sören", "soeren")),
        (("Müller", "mueller"), ("Groß", "gross"), ("Schäfer", "schaefer"), ("von der Höhe", "vdhoehe")),
    ),
    "ru": (
        (("Алексей", "aleksey"), ("Мария", "maria"), ("Пётр", "petr"), ("Екатерина", "ekaterina")),
        (("Смирнов", "smirnov"), ("Кузнецова", "kuznetsova"), ("Щербаков", "shcherbakov"), ("Иванова", "ivanova")),
    ),
    "ja": (
        (("太郎", "taro"), ("花子", "hanako"), ("健一", "kenichi"), ("美咲", "misaki")),
        (("山田", "yamada"), ("佐藤", "sato"), ("鈴木", "suzuki"), ("髙橋", "takahashi")),
    ),
    "fr": (
        (("Chloé", "chloe"), ("François", "francois"), ("Élodie", "elodie"), ("Zoë", "zoe")),
        (("Lefèvre", "lefevre"), ("Dupont", "dupont"), ("Gérard", "gerard"), ("Noël", "noel")),
    ),
}

# Charsets as senders of each language really declare them: new mail is UTF-8, old programs are not.
_CHARSETS: dict[Language, tuple[tuple[str, float], ...]] = {
    "en": (("utf-8", 0.6), ("us-ascii", 0.4)),
    "de": (("utf-8", 0.7), ("iso-8859-1", 0.3)),
    "ru": (("utf-8", 0.6), ("koi8-r", 0.3), ("windows-1251", 0.1)),
    "ja": (("utf-8", 0.6), ("iso-2022-jp", 0.4)),
    "fr": (("utf-8", 0.75), ("iso-8859-15", 0.25)),
}

_HTML_ROW = (
    '<tr><td style="padding:8px 0;font-family:Arial,sans-serif;font-size:14px;color:#333333"><p>{0}</p>'
    '<a href="https://news.example/c/{1}?utm_source=mail&amp;utm_campaign={2}">{3}</a></td></tr>\n'
)

PARAGRAPHS = 120


@dataclass(frozen=True, slots=True)
class Person:
    """One correspondent: address, and the whole mailbox (RFC 5322 3.4) as it stands in a header."""

    address: str
    mailbox: bytes


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """Seeded paragraphs per language, encoded on first use and then only joined."""

    plain: dict[Language, list[str]]
    _encoded: dict[tuple[Language, str, Transfer, Style], list[bytes]] = field(default_factory=dict)

    def encoded(self, language: Language, charset: str, transfer: Transfer, style: Style) -> list[bytes]:
        """All paragraphs of a language as body bytes; for base64 the bytes before that encoding."""
        key = (language, charset, transfer, style)
        if key not in self._encoded:
            self._encoded[key] = [
                _encode(_styled(text, style, number), charset, transfer)
                for number, text in enumerate(self.plain[language])
            ]
        return self._encoded[key]


def paragraphs(rng: random.Random) -> Paragraphs:
    """Make the paragraphs of one corpus."""
    return Paragraphs({name: [_paragraph(rng, name) for _ in range(PARAGRAPHS)] for name in _WORDS})


def people(rng: random.Random, count: int) -> list[Person]:
    """`count` correspondents with different addresses; about two in three have a non-ASCII name."""
    found = []
    for number in range(count):
        language = pick_language(rng)
        given, family = (rng.choice(names) for names in _GIVEN_AND_FAMILY[language])
        name = f"{family[0]} {given[0]}" if language == "ja" else f"{given[0]} {family[0]}"
        address = f"{given[1]}.{family[1]}{number}@{rng.choice(('firma', 'company', 'mail', 'office'))}.example"
        charset = "utf-8" if rng.random() < 0.7 else pick_charset(rng, language)
        found.append(Person(address, _display(name, charset, rng.random() < 0.5) + b" <" + address.encode() + b">"))
    return found


def pick_language(rng: random.Random) -> Language:
    """The language of one message or person."""
    names: tuple[Language, ...] = ("en", "de", "ru", "ja", "fr")
    return rng.choices(names, (44, 20, 20, 9, 7))[0]


def pick_charset(rng: random.Random, language: Language) -> str:
    """The charset its sender declares."""
    names, weights = zip(*_CHARSETS[language], strict=True)
    return str(rng.choices(names, weights)[0])


def subject_text(rng: random.Random, language: Language) -> str:
    """A subject of three to nine words (Unicode, not yet encoded)."""
    words = rng.choices(_WORDS[language].split(), k=rng.randint(3, 9))
    text = ("" if language == "ja" else " ").join(words)
    return f"{text} {rng.randint(1000, 99999)}" if rng.random() < 0.3 else text


def encoded_words(text: str, charset: str, base64_words: bool) -> bytes:
    """`text` as RFC 2047 encoded words of at most 75 characters, folded; plain ASCII is left alone."""
    if text.isascii():
        return text.encode()
    words, chunk = [], ""
    for character in text:
        if len((chunk + character).encode(charset, "replace")) > (36 if base64_words else 18):
            words.append(_word(chunk, charset, base64_words))
            chunk = ""
        chunk += character
    return b"\r\n ".join((*words, _word(chunk, charset, base64_words)))


def _word(text: str, charset: str, base64_words: bool) -> bytes:
    raw = text.encode(charset, "replace")
    if base64_words:
        return b"=?" + charset.encode() + b"?B?" + base64.b64encode(raw) + b"?="
    quoted = "".join(chr(b) if chr(b).isascii() and chr(b).isalnum() else f"={b:02X}" for b in raw)
    return b"=?" + charset.encode() + b"?Q?" + quoted.encode() + b"?="


def _display(name: str, charset: str, base64_words: bool) -> bytes:
    if not name.isascii():
        return encoded_words(name, charset, base64_words)
    return name.encode() if name.replace(" ", "").isalpha() else b'"' + name.encode() + b'"'


def _paragraph(rng: random.Random, language: Language) -> str:
    words = _WORDS[language].split()
    joint, stop = ("", "。") if language == "ja" else (" ", ". ")
    sentences = []
    for _ in range(rng.randint(2, 6)):
        sentence = joint.join(rng.choices(words, k=rng.randint(5, 14)))
        sentences.append(sentence[:1].upper() + sentence[1:] + stop)
    return "\n".join(textwrap.wrap("".join(sentences), 34 if language == "ja" else 72))


def _styled(text: str, style: Style, number: int) -> str:
    if style == "quote":
        return "> " + text.replace("\n", "\n> ") + "\n>\n"
    if style == "html":
        return _HTML_ROW.format(text, f"{number * 7919:08x}", f"spring-{number}", text.split("\n")[0][:24])
    return text + "\n\n"


def _encode(text: str, charset: str, transfer: Transfer) -> bytes:
    raw = text.encode(charset, "replace")
    if transfer == "quoted-printable":
        raw = binascii.b2a_qp(raw, istext=True)
    return raw.replace(b"\n", b"\r\n")
