"""embedded/cldr: phrases that say the same in two locales, written by CLDR's rules. Imported by chapters and recipes.

Origin: the Unicode Common Locale Data Repository as Babel carries it (data: Unicode Licence v3; Babel: BSD 3-Clause),
read from the installed package at run time; nothing is copied into this repository. A phrase is drawn once, as values
(a date, a number and a unit, two countries), and written in both locales by their patterns for the same skeleton:
"May 3, 2024" and "3. Mai 2024". The translations are therefore those of CLDR's translators, and as terse as theirs; a
language that few of them have worked on gets the patterns of the root, year first.

Typography is made plain on both sides, so that a model is not judged by characters that nobody can see: text is
composed (NFC); no-break, narrow and thin spaces become a space; marks of direction are left out; the minus sign becomes
a hyphen, the curly apostrophe a straight one. The dash of intervals stays.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import random
import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from babel import Locale, UnknownLocaleError, dates, lists, numbers, units
from babel.core import get_global

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

LONGEST = 90  # characters on either side
HELD_OUT = ("unseen_combinations", "unseen_numbers", "unseen_years")
UNITS = """length-kilometer length-meter length-centimeter length-millimeter length-mile length-foot length-inch length-yard
    mass-kilogram mass-gram mass-tonne mass-pound mass-ounce volume-liter volume-milliliter volume-cubic-meter volume-gallon
    area-square-kilometer area-square-meter area-hectare area-acre temperature-celsius temperature-fahrenheit
    digital-gigabyte digital-megabyte digital-kilobyte digital-bit power-watt power-kilowatt power-horsepower
    energy-kilowatt-hour energy-kilojoule energy-kilocalorie frequency-hertz frequency-megahertz electric-volt electric-ampere
    pressure-bar pressure-hectopascal speed-knot light-lumen duration-year duration-month duration-week duration-day
    duration-hour duration-minute duration-second duration-millisecond angle-degree graphics-pixel""".split()
RATES = """length-kilometer length-meter length-centimeter length-mile length-foot mass-kilogram mass-gram mass-tonne
    volume-liter volume-milliliter volume-cubic-meter volume-gallon digital-gigabyte digital-megabyte digital-kilobyte
    digital-bit energy-kilowatt-hour energy-kilojoule energy-kilocalorie area-hectare area-acre graphics-pixel""".split()
PER = ("duration-second", "duration-minute", "duration-hour", "duration-day", "duration-week")
CURRENCIES = """EUR USD GBP CHF JPY CNY SEK NOK DKK PLN CZK HUF TRY INR BRL CAD AUD MXN ZAR KRW ILS EGP THB RUB UAH ARS
    NZD SGD VND NGN""".split()
# A form of a date, and the form whose text it may share ("May 3, 2024" is short and long): then only the second is used.
DATES = {
    "long": None, "full": None, "yMMMd": "long", "MMMMd": None, "yMMMEd": None, "MMMd": "MMMMd", "MMMEd": None, "yMMMM": None,
    "yMMM": "yMMMM", "yMd": None, "yQQQ": None, "yQQQQ": None,
}  # fmt: skip
INTERVALS = {"yMMMd": None, "MMMd": None, "yMMMEd": None, "MMMEd": None, "yMMMM": None, "yMMM": "yMMMM", "y": None, "Hm": None}
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000, "year": 31536000}
_SPACES = re.compile(r"[\s\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_UNSEEN = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\u061c\ufeff]")


@dataclasses.dataclass(frozen=True)
class Phrase:
    """What is to be said, before it is said in a locale.

    say: writes it; KeyError or LookupError where a locale has no pattern. rival: another form of the same values.
    combinations, whole_numbers, years: what the held-out slices are made by. fixed: a name, always for training.
    parts: the phrases of a compound.
    """

    kind: str
    say: Callable[[Locale], str]
    rival: Callable[[Locale], str] | None = None
    combinations: frozenset[bool] = frozenset()
    whole_numbers: frozenset[int] = frozenset()
    years: frozenset[int] = frozenset()
    fixed: bool = False
    parts: tuple[Phrase, ...] = ()

    def split(self, source: str) -> str | None:
        """The split this phrase belongs to; None where it has two held-out properties and could not say which failed."""
        held = [True in self.combinations, any(map(_held_number, self.whole_numbers)), any(map(_held_year, self.years))]
        if sum(held) > 1:
            return None
        if any(held):
            return HELD_OUT[held.index(True)]
        place = zlib.crc32(plain(source).casefold().encode()) % 100
        return "train" if self.fixed or place >= 12 else "test" if place >= 6 else "validation"


def pairs(source: str = "en", target: str = "de", size: int = 20_000, seed: int = 0) -> DatasetDict:
    """Parallel phrases as a `datasets.DatasetDict`: `size` for training, a twentieth of that in each other split.

    source, target: CLDR locales ("en", "de", "pt_BR", "zh_Hans"); ValueError for an unknown one. Columns: source, target,
    kind (date, time, interval, relative, unit, rate, currency, number, percentage, place, language, list, compound).
    Splits: train, validation and test are alike; the rest is what training never shows:
    unseen_combinations: an item in a form it was not seen in, while both were seen with others (a month in a date form,
    a weekday with a month, a unit with a length or a rate, a currency with a style, two kinds in one compound).
    unseen_numbers: a quantity of three or more digits; unseen_years: a year.
    A source has one target. No source and no target of a split is in another, whatever its case. Names of countries and
    languages stand alone in train only, for nobody can guess them. At most LONGEST characters a side.
    A pair of locales whose patterns are few yields smaller splits; below a tenth of `size` it is a ValueError.
    """
    from datasets import Dataset, DatasetDict, Features, Value

    here, there = _locale(source), _locale(target)
    if str(here) == str(there):
        raise ValueError(f"Source and target are both {source!r}: choose two locales.")
    room = {name: size if name == "train" else max(1, size // 20) for name in ("train", "validation", "test", *HELD_OUT)}
    rows = {name: [] for name in room}
    sides = ({}, {})  # text of either side, case folded → the split that has it
    rng = random.Random(seed)
    for phrase in _stream(rng, attempts=60 * size):
        said = _say(phrase, here, there)
        if said is None or (split := phrase.split(said[0])) is None or len(rows[split]) >= room[split]:
            continue
        folded = [text.casefold() for text in said]
        if folded[0] in sides[0] or sides[1].get(folded[1], split) != split:
            continue
        sides[0][folded[0]] = sides[1][folded[1]] = split
        rows[split].append({"source": said[0], "target": said[1], "kind": phrase.kind})
        if all(len(rows[name]) == room[name] for name in rows):
            break
    if len(rows["train"]) < size / 10:
        raise ValueError(f"CLDR has only {len(rows['train'])} different phrases for {source}–{target}: ask for a smaller size.")
    features = Features({name: Value("string") for name in ("source", "target", "kind")})
    return DatasetDict({name: Dataset.from_list(found, features=features) for name, found in rows.items()})


def plain(text: str) -> str:
    """Typography made plain, as this module's first lines say."""
    text = _UNSEEN.sub("", unicodedata.normalize("NFC", text)).replace("\u2212", "-").replace("\u2019", "'")
    return _SPACES.sub(" ", text).strip()


# --- controls: what a translation without a model reaches


def word_by_word(train: Dataset) -> Callable[[str], str]:
    """A translator that puts for each word the word that keeps it company most exclusively (Dice's coefficient).

    Words stay in their order, words never seen stay as they are. L. R. Dice, Ecology 26 (1945).
    """
    left, right, both = Counter(), Counter(), defaultdict(Counter)
    for source, target in zip(train["source"], train["target"], strict=True):
        a, b = set(source.split()), set(target.split())
        left.update(a)
        right.update(b)
        for word in a:
            both[word].update(b)
    table = {w: max(found, key=lambda t: (2 * found[t] / (left[w] + right[t]), t)) for w, found in both.items() if found}
    return lambda source: " ".join(table.get(word, word) for word in source.split())


def by_template(train: Dataset) -> Callable[[str], str]:
    """A translator that remembers every phrase with its digits left open, and fills in those of the new one.

    A phrase whose words it has not seen in that very order gets the most frequent target of all.
    """
    seen = defaultdict(Counter)
    for source, target in zip(train["source"], train["target"], strict=True):
        digits = re.findall(r"\d+", source)
        seen[re.sub(r"\d+", "#", source)][re.sub(r"\d+", lambda m, d=digits: f"\0{d.index(m[0])}\0" if m[0] in d else m[0], target)] += 1
    best = {template: max(found, key=lambda t: (found[t], t)) for template, found in seen.items()}
    fallback = Counter(train["target"]).most_common(1)[0][0]

    def translate(source: str) -> str:
        digits = re.findall(r"\d+", source)
        template = best.get(re.sub(r"\d+", "#", source))
        return fallback if template is None else re.sub("\0(\\d+)\0", lambda m: digits[int(m[1])], template)

    return translate


def exact(data: Dataset, translate: Callable[[str], str]) -> float:
    """The share of the rows whose translation is the target, character for character."""
    return sum(translate(s) == t for s, t in zip(data["source"], data["target"], strict=True)) / len(data)


# --- phrases


def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name, sep="-" if "-" in name else "_")
    except (UnknownLocaleError, ValueError) as error:
        raise ValueError(f"Babel knows no locale {name!r}: use one of `babel.localedata.locale_identifiers()`, such as 'de'.") from error


def _say(phrase: Phrase, here: Locale, there: Locale) -> tuple[str, str] | None:
    """The phrase in both locales; None where one has no pattern for it, or where it is too long or would be ambiguous."""
    try:
        said = plain(phrase.say(here)), plain(phrase.say(there))
        if phrase.rival and plain(phrase.rival(here)) == said[0]:
            return None
        if any(_say(part, here, there) is None for part in phrase.parts):
            return None
    except (LookupError, ValueError):
        return None
    return said if all(said) and max(map(len, said)) <= LONGEST else None


def _stream(rng: random.Random, attempts: int) -> Iterable[Phrase]:
    """First every name of a country and a language, then phrases of all kinds."""
    for kind, codes in (("place", TERRITORIES), ("language", LANGUAGES)):
        for code in codes:
            yield Phrase(kind, _name(kind, code), fixed=True)
    kinds = list(KINDS)
    for _ in range(attempts):
        yield KINDS[rng.choice(kinds)](rng) if rng.random() < 0.7 else _compound(rng)


def _held_number(whole: int) -> bool:
    """One in eight of the numbers with three significant digits or more."""
    return whole >= 100 and len(str(whole).rstrip("0")) >= 3 and zlib.crc32(f"number {whole}".encode()) % 8 == 0


def _held_year(year: int) -> bool:
    return zlib.crc32(f"year {year}".encode()) % 8 == 0


def _held(item: int, form: int) -> bool:
    """One in eight of the cells of a table of items and forms, spread evenly over rows and columns."""
    return (item + form) % 8 == 5


def _quantity(rng: random.Random, decimals: float = 0.25) -> tuple[float, int]:
    """A number, small ones most often, and its whole part. None looks like a year."""
    low, high = rng.choice(((0, 13), (13, 100), (13, 100), (100, 1000), (100, 1000), (2200, 10_000), (10_000, 1_000_000)))
    whole = rng.randrange(low, high)
    if rng.random() >= decimals or whole >= 100_000:
        return whole, whole
    return float(f"{whole}.{rng.randrange(1, 10) if rng.random() < 0.7 else rng.randrange(11, 100)}"), whole


def _moment(rng: random.Random, first: int = 1900, last: int = 2099) -> datetime.datetime:
    start = datetime.datetime(first, 1, 1)
    return start + datetime.timedelta(minutes=rng.randrange((datetime.datetime(last, 12, 31) - start).days * 1440))


def _date_in(form: str, moment: datetime.datetime) -> Callable[[Locale], str]:
    if form in ("long", "full"):
        return lambda locale: dates.format_date(moment, form, locale=locale)
    return lambda locale: dates.format_skeleton(form, moment, fuzzy=False, locale=locale)


def _date(rng: random.Random) -> Phrase:
    form, moment = rng.choice(list(DATES)), _moment(rng)
    at = list(DATES).index(form)
    held = form != "yMd" and "Q" not in form and _held(moment.month, at) or (form[-2:] == "Ed" or form == "full") and _weekday_held(moment)
    rival = DATES[form]
    return Phrase(
        "date",
        _date_in(form, moment),
        rival and _date_in(rival, moment),
        frozenset([held]),
        years=frozenset([moment.year] if "y" in form or form in ("long", "full") else []),
    )


def _weekday_held(moment: datetime.datetime) -> bool:
    return _held(3 * moment.weekday(), moment.month)


def _time(rng: random.Random) -> Phrase:
    form, moment = rng.choice(("short", "short", "medium")), _moment(rng).time().replace(second=rng.randrange(60))
    return Phrase("time", lambda locale: dates.format_time(moment, form, locale=locale))


def _interval(rng: random.Random) -> Phrase:
    form, start = rng.choice(list(INTERVALS)), _moment(rng, last=2095)
    fewest = {"y": 366, "yMMM": 32, "yMMMM": 32}.get(form, 1)  # else both ends would be written alike, and only once
    days = rng.choice((rng.randrange(fewest, 10 * fewest + 20), rng.randrange(fewest + 20, 10 * fewest + 200)))
    end = start + datetime.timedelta(days=days)
    if form == "Hm":
        start, end = start.replace(hour=rng.randrange(12)), start.replace(hour=rng.randrange(12, 24), minute=rng.choice((0, 15, 30, 45)))
    keys = {_held(start.month, list(INTERVALS).index(form)) if "M" in form else False}
    if "E" in form:
        keys |= {_weekday_held(start), _weekday_held(end)}

    def in_form(name: str) -> Callable[[Locale], str]:
        return lambda locale: dates.format_interval(start, end, name, fuzzy=False, locale=locale)

    # a year is hidden where both ends share it and the form leaves it out, so only forms with a year hold one out
    years = frozenset([start.year, end.year] if "y" in form else [])
    return Phrase("interval", in_form(form), INTERVALS[form] and in_form(INTERVALS[form]), frozenset(keys), years=years)


def _relative(rng: random.Random) -> Phrase:
    unit, length, ahead = rng.choice(list(SECONDS)), rng.choice(("long", "long", "short")), rng.choice((1, -1))
    count = rng.randrange(1, 100) if rng.random() < 0.7 else rng.randrange(100, 1000)
    delta = datetime.timedelta(seconds=ahead * count * SECONDS[unit])
    held = _held(list(SECONDS).index(unit), 4 * (length == "short") + 2 * (ahead > 0))

    def in_length(length: str) -> Callable[[Locale], str]:
        return lambda locale: dates.format_timedelta(
            delta, granularity=unit, threshold=float("inf"), add_direction=True, format=length, locale=locale
        )

    rival = in_length("long") if length == "short" else None
    return Phrase("relative", in_length(length), rival, frozenset([held]), frozenset([count]))


def _unit_in(number: float, unit: str, length: str, per: str | None) -> Callable[[Locale], str]:
    def say(locale: Locale) -> str:
        if per:
            text = units.format_compound_unit(number, unit, denominator_unit=per, length=length, locale=locale)
        else:
            text = units.format_unit(number, unit, length=length, locale=locale)
        if text is None or unit in text or per and per in text:
            raise KeyError(unit)  # Babel writes the name of the unit where a locale has no pattern
        return text

    return say


def _unit(rng: random.Random) -> Phrase:
    per = rng.choice(PER) if rng.random() < 0.4 else None
    unit, length = rng.choice(RATES if per else UNITS), rng.choice(("long", "long", "short"))
    number, whole = _quantity(rng)
    # plain and per second share a row with the other rates: a unit keeps most of them, in either length
    held = _held(UNITS.index(unit), (PER.index(per) + 1 if per else 0) + 4 * (length == "short")) if unit in RATES else False
    rival = _unit_in(number, unit, "long", per) if length == "short" else None
    return Phrase("rate" if per else "unit", _unit_in(number, unit, length, per), rival, frozenset([held]), frozenset([whole]))


def _currency(rng: random.Random) -> Phrase:
    styles = ("name", "sign", "compact", "", "whole name", "whole sign")
    code, style = rng.choice(CURRENCIES), rng.choice(("name", "name", "whole name", "whole name", "sign", "sign", "whole sign", "compact"))
    if style != "compact" and not numbers.get_currency_precision(code):
        style = "whole " + style.split()[-1]
    held = frozenset([_held(CURRENCIES.index(code), styles.index(style))])
    if style == "compact":  # at most two digits: these are never held out, also where a locale counts in ten thousands
        mantissa, power = rng.choice((rng.randrange(1, 100), rng.randrange(11, 100) / 10)), rng.choice((6, 6, 9))
        amount, digits = round(mantissa * 10**power), int(mantissa != int(mantissa))
        return Phrase(
            "currency",
            lambda locale: numbers.format_compact_currency(amount, code, locale=locale, fraction_digits=digits),
            combinations=held,
        )
    whole = _quantity(rng, 0)[1]
    amount = whole if "whole" in style else whole + rng.randrange(1, 100) / 100

    def say(locale: Locale) -> str:
        if "name" in style:
            pattern = "#,##0" if "whole" in style else "#,##0.00"
            return numbers.format_currency(amount, code, pattern, locale=locale, currency_digits=False, format_type="name")
        pattern = locale.currency_formats["standard"].pattern
        if "whole" in style:
            pattern = re.sub(r"\.0+", "", pattern)
        return numbers.format_currency(amount, code, pattern, locale=locale, currency_digits=False)

    return Phrase("currency", say, combinations=held, whole_numbers=frozenset([whole]))


def _number(rng: random.Random) -> Phrase:
    if rng.random() < 0.3:
        mantissa, power = rng.choice((rng.randrange(1, 100), rng.randrange(11, 100) / 10)), rng.choice((3, 6, 6, 9))
        amount, digits = round(mantissa * 10**power), int(mantissa != int(mantissa))
        return Phrase(
            "number", lambda locale: numbers.format_compact_decimal(amount, format_type="long", locale=locale, fraction_digits=digits)
        )
    number, whole = _quantity(rng, decimals=0.5)
    sign = rng.choice((1, 1, 1, -1))
    return Phrase("number", lambda locale: numbers.format_decimal(sign * number, locale=locale), whole_numbers=frozenset([whole]))


def _percentage(rng: random.Random) -> Phrase:
    number, whole = _quantity(rng, decimals=0.5)
    share = decimal.Decimal(str(number)) / 100
    return Phrase(
        "percentage",
        lambda locale: numbers.format_percent(share, locale=locale, decimal_quantization=False),
        whole_numbers=frozenset([whole]),
    )


def _name(kind: str, code: str) -> Callable[[Locale], str]:
    return lambda locale: (locale.territories if kind == "place" else locale.languages)[code]


def _list(rng: random.Random) -> Phrase:
    kind = rng.choice(("place", "place", "language"))
    codes = rng.sample(TERRITORIES if kind == "place" else LANGUAGES, rng.choice((2, 3, 3, 4)))
    style = rng.choice(("standard", "standard", "or"))
    return Phrase("list", lambda locale: lists.format_list([_name(kind, code)(locale) for code in codes], style, locale))


def _compound(rng: random.Random) -> Phrase:
    kinds = [kind for kind in KINDS if kind != "list"]
    at = rng.sample(range(len(kinds)), 2)
    style = rng.choice(("standard", "standard", "or"))
    parts = tuple(KINDS[kinds[place]](rng) for place in at)
    return Phrase(
        "compound",
        lambda locale: lists.format_list([part.say(locale) for part in parts], style, locale),
        None,
        frozenset([_held(3 * at[0], at[1] + 4 * (style == "or"))]).union(*(part.combinations for part in parts)),
        frozenset().union(*(part.whole_numbers for part in parts)),
        frozenset().union(*(part.years for part in parts)),
        parts=parts,
    )


def _official() -> list[str]:
    """The languages that are official in a whole country, as CLDR sees it, but for those that some locales call as their country."""
    homonyms = {"fj", "na", "niu", "pau", "tkl", "to", "tvl"}
    status = ("official", "de_facto_official")
    found = [pair for languages in get_global("territory_languages").values() for pair in languages.items()]
    return sorted({code for code, facts in found if facts.get("official_status") in status and "_" not in code} - homonyms)


KINDS = {
    "date": _date, "time": _time, "interval": _interval, "relative": _relative, "unit": _unit, "currency": _currency,
    "number": _number, "percentage": _percentage, "list": _list,
}  # fmt: skip
TERRITORIES = sorted(get_global("territory_languages"))
LANGUAGES = _official()
