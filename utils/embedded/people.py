"""embedded/people: sentences with marked persons, organisations and places in four languages. Imported by chapters.

Origin: the sentence patterns were written for this book and stand in `data/texts/people`, one a line. The names in them
are drawn from Faker (MIT Licence), which holds common first names, surnames and places of a country and composes company
names from surnames and legal forms ("Müller AG & Co. KGaA"); a person or company that exists under such a name is a
coincidence. Names of months and days are CLDR's, by Babel.

How a pattern is written: `{PER}` a full name (`.f`, `.m` of a woman, of a man; `.first`, `.last` a part of it; `.gen` the
German genitive), `{LOC}` a town (in English also a county or state), `{ORG.…}` a company or institution of a grammatical
kind (see `_organisations`); `{weekday} {month} {number} {digit} {dom} {hour} {year} {soon}` are drawn too and carry no label;
`[this|that]` is a choice. `{de:PER}` writes a preposition or conjunction with its French elision or its article:
d'Alice, de Paul, du Lycée de Lyon; `{della:ORG.la}` the same in Italian. A line that begins with `~` is typed in lower
case, one that begins with `^` in capitals.
"""

from __future__ import annotations

import random
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from utils import ROOT

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

LANGUAGES = ("de", "en", "fr", "it")
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
SPLITS = ("train", "validation", "test")
_LOCALES = {
    "de": ("de_DE", "de_AT", "de_CH"),
    "en": ("en_US", "en_GB", "en_IE"),
    "fr": ("fr_FR", "fr_CH", "fr_CA"),
    "it": ("it_IT",),
}
# Faker's French towns are surnames, and its English ones inventions: real ones stand beside them.
_TOWNS = {
    "fr": """Lyon Marseille Toulouse Nantes Strasbourg Montpellier Bordeaux Lille Rennes Reims Toulon Grenoble Dijon Angers
        Nîmes Villeurbanne Clermont-Ferrand Aix-en-Provence Brest Tours Amiens Limoges Annecy Perpignan Boulogne-sur-Mer Metz
        Besançon Orléans Rouen Mulhouse Caen Nancy Argenteuil Avignon Poitiers Dunkerque Versailles Colombes Pau Calais
        Bourges Cannes Antibes Ajaccio Quimper Valence Troyes Chambéry Niort Lorient Montauban Albi Carcassonne Arras
        Vannes Bayonne Auxerre Nevers Roanne Vichy Cahors Rodez Aurillac Épinal Évreux Alençon Chartres Blois Tulle Mende
        Saint-Étienne Saint-Malo Saint-Brieuc Saint-Nazaire Genève Lausanne Fribourg Neuchâtel Sion Montreux Vevey Nyon
        Bruxelles Liège Namur Mons Charleroi Tournai Dinant Montréal Québec Gatineau Sherbrooke Trois-Rivières Rimouski
        Autun Beaune Cluny Uzès Arles Orange Obernai Sélestat Colmar Ussel Issoire Ambert Thiers Riom Moulins""",
    "en": """London Leeds Bristol Sheffield Manchester Liverpool Nottingham Leicester Coventry Plymouth Derby Swansea Cardiff
        Exeter Norwich Oxford Cambridge Gloucester Ipswich Lincoln Durham Whitby Harrogate Swindon Taunton Truro Dover Hastings
        Brighton Guildford Reading Luton Bedford Peterborough Kettering Rugby Stafford Shrewsbury Hereford Worcester Stirling
        Aberdeen Dundee Inverness Perth Glasgow Edinburgh Paisley Belfast Derry Armagh Galway Limerick Sligo Dublin Boston
        Chicago Denver Houston Dallas Austin Seattle Portland Oakland Sacramento Fresno Tucson Phoenix Omaha Wichita Topeka
        Milwaukee Madison Detroit Cleveland Columbus Cincinnati Pittsburgh Buffalo Rochester Albany Baltimore Richmond Norfolk
        Raleigh Charlotte Atlanta Savannah Memphis Nashville Louisville Toronto Ottawa Halifax Calgary Winnipeg Sydney
        Melbourne Adelaide Brisbane Hobart Darwin Auckland Wellington""",
}
# The first word of an institution is all that is seen of it before the town; every fourth of five is for
# validation, every fifth for the test.
_INSTITUTIONS = {
    "de": {
        "f": "Universität Hochschule Sparkasse Volksbank Handelskammer Musikschule Diakonie Caritas Feuerwehr Messe",
        "n": "Klinikum Theater Landgericht Stadtarchiv Gymnasium Studentenwerk Finanzamt Museum Landratsamt Seniorenheim",
        "p": "Stadtwerke Verkehrsbetriebe Wasserwerke Elektrizitätswerke Bergbahnen Kliniken",
    },
    "en": {"the": "University_of Bank_of Museum_of Parish_of Diocese_of Conservatory_of Borough_of Archdiocese_of"},
    "fr": {
        "le": "Lycée Musée Théâtre Conservatoire Tribunal Centre_hospitalier",
        "la": "Clinique Chambre_de_commerce Banque_populaire Bibliothèque Faculté_de_droit Mairie",
        "l'": "Université Orchestre Office_de_tourisme Institut_de_chimie Association_sportive École_de_commerce Académie",
    },
    "it": {
        "la": "Università Biblioteca_comunale Cassa_di_Risparmio Questura Fondazione Croce_Verde Polisportiva Accademia",
        "il": "Comune Teatro Policlinico Liceo Consorzio_agrario Tribunale Conservatorio Museo Politecnico Circolo",
    },
}
_BEHIND = ("Chamber of Commerce", "Philharmonic Orchestra", "Historical Society", "Housing Association")  # an English town
_LEGAL = re.compile(r"(?:[A-Z]{2,5}|(?:[A-Z]\.)+|e\.[GV]\.|s\.r\.l\.|Co\.|Cie\.|Sàrl\.|\w?mbH|G\w+bR|KGaA|GbR|Inc|Ltd|Group|Stiftung|\W+)$")
_SMALL = set(
    "de du des d' la le les l' sur en di del della dei e et and of zu am an der bei in im ob den und sons fils figli söhne partner".split()
)
_SLOT = re.compile(r"\{(?:([\w']+):)?([\w.]+)\}")
_WORD = re.compile(
    r"(?:dell|dall|dall|all|nell|sull|jusqu|lorsqu|puisqu|qu|[cdjlmnst])'(?=\w|$)|'s\b"
    r"|(?:Dr|Prof|Mr|Mrs|Ms|M|Nr|n)\.|\d+(?:[.,:]\d+)+|\w+(?:[-'’]\w+)*|\S",
    re.IGNORECASE,
)
_PART = re.compile(r"d'(?=\w)|[^\s,]+|,", re.IGNORECASE)
_VOWELS = "aeiouàâäéèêëîïôöûüœæ"


def load(language: str = "de", size: int = 5000, seed: int = 0) -> DatasetDict:
    """About `size` sentences in one of LANGUAGES as a `datasets.DatasetDict` with train, validation and test.

    Columns: text; tokens, words and punctuation marks, each a piece of the text; ner_tags, a ClassLabel for each token
    (BIO: O, B-PER, I-PER, B-ORG, I-ORG, B-LOC, I-LOC); starts, the position of each token's first character in the text;
    pattern, the number of the sentence pattern. A seventh of the patterns is for validation, a seventh for test, and
    every sentence with them; a pattern with few choices gives few sentences. No first token of an entity in validation or
    test occurs in another split, as an entity or as any other word, whatever its case; nor does it begin an entity in
    another split of another language. The sentences depend on Faker's version, the patterns, `size` and `seed` alone.
    """
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

    if language not in LANGUAGES:
        raise ValueError(f"There are no patterns for {language!r}: choose one of {', '.join(LANGUAGES)}.")
    features = Features(
        {
            "text": Value("string"),
            "tokens": Sequence(Value("string")),
            "ner_tags": Sequence(ClassLabel(names=list(TAGS))),
            "starts": Sequence(Value("int32")),
            "pattern": Value("int32"),
        }
    )
    made = {split: [] for split in SPLITS}
    known, where = patterns(language), _divide(patterns(language))
    for number, pattern in enumerate(known):
        rng, seen = random.Random(f"{seed} {language} {number}"), set()
        for _ in range(3 * size // len(known)):
            text, found = _write(pattern, _names(language)[where[number]], rng, language)
            if text not in seen:
                seen.add(text)
                starts, tokens, tags = (list(column) for column in zip(*found, strict=True))
                made[where[number]].append({"text": text, "tokens": tokens, "ner_tags": tags, "starts": starts, "pattern": number})
            if len(seen) >= size / len(known):
                break
    for rows in made.values():
        random.Random(seed).shuffle(rows)
    return DatasetDict({split: Dataset.from_list(rows, features=features) for split, rows in made.items()})


def patterns(language: str) -> list[str]:
    """The sentence patterns of a language, in the order of their file."""
    lines = (ROOT / "data" / "texts" / "people" / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _divide(known: list[str]) -> list[str]:
    """The split of each pattern: of those with the same labels, one in seven to validation and to test, by a hash of the text."""
    order = sorted(known, key=lambda pattern: (sorted(set(re.findall("PER|ORG|LOC", pattern))), zlib.crc32(pattern.encode())))
    place = {pattern: {2: "validation", 5: "test"}.get(i % 7, "train") for i, pattern in enumerate(order)}
    return [place[pattern] for pattern in known]


# --- controls, and how they are judged


def spans(tags: list[int]) -> set[tuple[int, int, str]]:
    """The entities of a sentence as (first token, token after the last, label); an I- without its B- begins one."""
    found, start, label = set(), 0, None
    for at, tag in enumerate([*(TAGS[tag] for tag in tags), "O"]):
        if label and tag != f"I-{label}":
            found.add((start, at, label))
            label = None
        if tag != "O" and label is None:
            start, label = at, tag[2:]
    return found


def f1(gold: list[list[int]], predicted: list[list[int]], label: str | None = None) -> float:
    """Micro-averaged F1 of whole entities, of one label if one is given (CoNLL-2003: Tjong Kim Sang and De Meulder)."""
    right = wanted = given = 0
    for a, b in zip(gold, predicted, strict=True):
        a, b = ({span for span in spans(tags) if label in (None, span[2])} for tags in (a, b))
        right, wanted, given = right + len(a & b), wanted + len(a), given + len(b)
    return 2 * right / (wanted + given) if wanted + given else 0.0


def capitalised(tokens: list[str]) -> list[int]:
    """Tags that call every run of capitalised words but the sentence's first a person."""
    large = [at > 0 and token[0].isupper() for at, token in enumerate(tokens)]
    return [TAGS.index("O" if not now else "I-PER" if at and large[at - 1] else "B-PER") for at, now in enumerate(large)]


def gazetteer(train: Dataset) -> Callable[[list[str]], list[int]]:
    """A tagger that finds the longest entities of the training sentences, whatever their case, each with its commonest label."""
    known = defaultdict(Counter)
    for tokens, tags in zip(train["tokens"], train["ner_tags"], strict=True):
        for start, end, label in spans(tags):
            known[tuple(token.casefold() for token in tokens[start:end])][label] += 1
    longest = max(map(len, known))

    def tag(tokens: list[str]) -> list[int]:
        small, tags, at = [token.casefold() for token in tokens], [0] * len(tokens), 0
        while at < len(tokens):
            size = next((n for n in range(longest, 0, -1) if tuple(small[at : at + n]) in known), 0)
            if size:
                label = known[tuple(small[at : at + size])].most_common(1)[0][0]
                tags[at : at + size] = [TAGS.index(f"{'I' if i else 'B'}-{label}") for i in range(size)]
            at += size or 1
        return tags

    return tag


# --- names


@cache
def _names(language: str) -> dict[str, dict[str, list[list[list[str]]]]]:
    """split → kind of slot → groups of names; a slot takes a group, then a first word, then a name, with equal chances."""
    from faker import Faker

    drawn = {kind: set() for kind in ("first.f", "first.m", "last", "LOC", "company")}
    drawn["LOC"] = set(_TOWNS.get(language, "").split())
    for locale in _LOCALES[language]:
        fake = Faker(locale)
        fake.seed_instance(0)
        if locale == "it_IT":  # Faker keeps its towns in a set, whose order differs from process to process
            towns = next(p for p in fake.get_providers() if hasattr(p, "cities"))
            towns.cities = sorted(towns.cities)
        for _ in range(1500):
            drawn["first.f"].add(fake.first_name_female())
            drawn["first.m"].add(fake.first_name_male())
            drawn["last"].add(fake.last_name())
            drawn["LOC"].add(fake.city())
            if locale != "fr_CA":  # its companies are English
                drawn["company"].add(fake.company())
        if language == "en":
            drawn["LOC"].update(fake.state() if locale == "en_US" else fake.county() for _ in range(200))
    drawn["first.f"], drawn["first.m"] = drawn["first.f"] - drawn["first.m"], drawn["first.m"] - drawn["first.f"]
    names = {split: {} for split in SPLITS}
    vocabulary = _vocabulary(language)
    for kind, found in drawn.items():
        mine = defaultdict(list)
        for name in sorted(found):
            if kind == "company" or _plain(name, kind == "LOC", language):
                mine[_home(name, vocabulary)].append(name)
        for split in SPLITS:
            names[split][kind] = [mine[split]]
    for split, kinds in names.items():
        kinds["first"] = kinds["first.f"] + kinds["first.m"]
        real = [town for town in kinds["LOC"][0] if town in _TOWNS.get(language, "").split()]
        organisations = _organisations(language, split, kinds.pop("company")[0], kinds["LOC"][0])
        kinds["LOC"] = [real, kinds["LOC"][0]]
        kinds |= {f"ORG.{kind}": groups for kind, groups in organisations.items()}
        for kind, groups in kinds.items():
            kinds[kind] = [_by_first_word(group) for group in groups if group]
    return names


def _by_first_word(names: list[str]) -> list[list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[_PART.findall(name)[0]].append(name)
    return list(groups.values())


def _plain(name: str, town: bool, language: str) -> bool:
    """Whether a name can stand where patterns put it: a few words; no town with an article, no French town that is a surname."""
    if not re.fullmatch(r"[^\W\d_][\w' .-]*\w", name) or len(name) > 30 or "--" in name:
        return False
    if town and re.match(r"(?:le|la|les|lo|il|gli|i|l'|the)(?:\s|$|(?<='))", name, re.IGNORECASE):
        return False
    return not (town and language == "fr") or name in _TOWNS["fr"].split() or bool(re.search(r"^\S+-(?:sur|la|les)-", name))


def _organisations(language: str, split: str, companies: list[str], towns: list[str]) -> dict[str, list[list[str]]]:
    """Kinds of `{ORG.…}` → groups of names.

    de: f after "die" or "der", n after "das", p plural, house without an article, any in addresses and lists.
    en: bare, and the after "the". fr: bare, and a kind for each article. it: bare, la after "la" or "l'", il after "il".
    """
    formal = [c for c in companies if " " in c or "-" in c]
    surnames = [c for c in companies if c not in formal]
    built = {kind: [] for kind in _INSTITUTIONS[language]}
    for kind, heads in _INSTITUTIONS[language].items():
        for at, head in enumerate(heads.split()):
            if split == {3: "validation", 4: "test"}.get(at % 5, "train"):
                built[kind] += [
                    f"{head.replace('_', ' ')} {_of(town, language)}" for town in towns if language != "fr" or not _doubtful(town)
                ]
    if language == "de":
        feminine = [c for c in formal if re.search(r"(?:AG|KG|KGaA|OHG|OG|GmbH|GbR|GesbR)$", c)]
        house = [c for c in formal if re.search(r"& (?:Söhne|Partner|Cie\.|Co\.)$", c)]
        built = {**built, "f": [feminine, built["f"]], "n": [built["n"]], "p": [built["p"]]}
        return {**built, "house": [surnames, house], "any": [formal, *built["f"]]}
    if language == "en":
        behind = [f"{town} {what}" for what in _BEHIND for town in towns]
        return {"bare": [formal], "the": [built["the"], behind]}
    if language == "fr":
        return {"bare": [formal, formal, formal, surnames], **{article: [group] for article, group in built.items()}}
    limited = [c for c in formal if c.endswith(("s.r.l.", "SPA"))]
    return {"bare": [formal], "la": [limited, built["la"]], "il": [built["il"]]}


def _of(town: str, language: str) -> str:
    """A town behind an institution: d'Albi, di Asti, Passau."""
    return _joined({"fr": "de", "it": "di"}.get(language, ""), town)


def _vocabulary(language: str) -> set[str]:
    """Every word that can stand in a sentence without being a name, in small letters."""
    text = " ".join([*patterns(language), *_calendar(language)["weekday"], *_calendar(language)["month"]])
    words = {word.casefold() for word in _WORD.findall(_SLOT.sub(" ", re.sub(r"[\[\]|~^]", " ", text)))}
    heads = [head.split("_") for heads in _INSTITUTIONS[language].values() for head in heads.split()]
    return words | _SMALL | {word.casefold() for head in heads for word in head} | {w.casefold() for what in _BEHIND for w in what.split()}


def _home(name: str, vocabulary: set[str]) -> str | None:
    """The split that owns every word of a name; None if two do, or if a word of the patterns opens a name outside train."""
    words = _PART.findall(name)
    owners = {_owner(word) for at, word in enumerate(words) if not at or not (word.casefold() in _SMALL or _LEGAL.match(word))}
    if len(owners) > 1 or owners != {"train"} and words[0].casefold() in vocabulary:
        return None
    return owners.pop()


def _owner(word: str) -> str:
    """train for two thirds of the words, one sixth for each of the others; a genitive goes with its name."""
    return SPLITS[max(0, zlib.crc32(word.casefold().rstrip("s'’").encode()) % 6 - 3)]


# --- sentences


def _write(pattern: str, names: dict[str, list], rng: random.Random, language: str) -> tuple[str, list[tuple[int, str, int]]]:
    """A sentence of a pattern: its text, and for each token its first character, itself, and its tag (a position in TAGS)."""
    style, pattern = (pattern[0], pattern[1:]) if pattern[0] in "~^" else ("", pattern)
    pattern = re.sub(r"\[([^\[\]]*)\]", lambda m: rng.choice(m[1].split("|")), pattern)
    pieces, used, end = [], set(), 0  # (text, label or None)
    for slot in _SLOT.finditer(pattern):
        pieces.append((pattern[end : slot.start()], None))
        end = slot.end()
        before, name, label = _fill(slot[2], slot[1], names, rng, language, used)
        pieces += [(before, None), (name, label)]
        if label and name.endswith(".") and pattern.startswith(".", end):
            end += 1  # "Müller & Co." ends the sentence too
    pieces.append((pattern[end:], None))
    text, tokens = "", []
    for piece, label in pieces:
        if not text:  # French and Italian days begin a sentence in capitals
            piece = piece[:1].upper() + piece[1:]
        piece = piece.lower() if style == "~" else piece.upper() if style == "^" else piece
        for place, found in enumerate((_PART if label else _WORD).finditer(piece)):
            tag = f"{'I' if place else 'B'}-{label}" if label else "O"
            tokens.append((len(text) + found.start(), found[0], TAGS.index(tag)))
        text += piece
    return text, tokens


def _fill(kind: str, joint: str | None, names: dict, rng: random.Random, language: str, used: set[str]) -> tuple[str, str, str | None]:
    """What a slot says: the word before it with a space or an apostrophe, the name or number, and its label."""
    if kind in _calendar(language):
        return "", rng.choice(_calendar(language)[kind]), None
    label = kind.partition(".")[0]
    for _ in range(100):  # no name twice in a sentence, none whose elision is doubtful
        key, article = kind, ""
        if kind == "ORG.art":
            article = rng.choice(("le", "la", "l'"))
            key = f"ORG.{article}"
        name = _name(key, names, rng)
        if name not in used and not (language == "fr" and joint and not article and _doubtful(name)):
            used.add(name)
            return _joined(joint or "", name, article)[: -len(name)], name, label
    raise ValueError(f"Too few names for {{{kind}}}.")


def _name(kind: str, names: dict, rng: random.Random) -> str:
    def one(kind: str) -> str:
        return rng.choice(rng.choice(rng.choice(names[kind])))

    if not kind.startswith("PER"):
        return one(kind)
    part = kind.removeprefix("PER").lstrip(".")
    if part.startswith(("first", "last")):
        return one(part)
    full = f"{one('first.' + part if part in ('f', 'm') else 'first')} {one('last')}"
    if part == "gen":
        return full + ("'" if full.endswith(("s", "ß", "x", "z")) else "s")
    return full


def _elides(name: str) -> bool:
    """Whether a name begins with a vowel, written."""
    return name[0].casefold() in _VOWELS


def _doubtful(name: str) -> bool:
    """Whether French speakers would disagree about the elision: d'Henri, de Hugo, d'Yves, de Yann."""
    return name[0] in "HhYy"


def _joined(joint: str, name: str, article: str = "") -> str:
    """A preposition or conjunction and a name, as French and Italian write them: d'Alice, qu'Éric, du Lycée, dell'Università, ad Anna."""
    contracted = {("de", "le"): "du", ("à", "le"): "au"}
    if article:
        before = contracted.get((joint, article), f"{joint} {article}".strip())
        return f"{before}{name}" if article == "l'" else f"{before} {name}"
    if joint in ("de", "que", "la", "della", "dalla", "alla") and _elides(name):
        return f"{joint[:-1]}'{name}"
    if joint == "a" and name[0] in "Aa":
        return f"ad {name}"
    return f"{joint} {name}" if joint else name


@cache
def _calendar(language: str) -> dict[str, list[str]]:
    """The slots without a label."""
    from babel.dates import get_day_names, get_month_names

    return {
        "weekday": list(get_day_names("wide", locale=language).values()),
        "month": list(get_month_names("wide", locale=language).values()),
        "number": [str(n) for n in range(3, 99)],
        "digit": [str(n) for n in range(6)],
        "dom": [str(n) for n in range(2, 29)],
        "hour": [str(n) for n in (range(1, 13) if language == "en" else range(8, 22))],
        "year": [str(n) for n in range(1950, 2026)],
        "soon": [str(n) for n in range(2026, 2040)],
    }
