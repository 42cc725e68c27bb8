"""Questions over small tables of people, with the cells and the calculation that answer them. For chapter 11 and its recipe.

Tables are filled from the lists of Faker (MIT licence): names, cities, countries, jobs. What a table is about beyond
that, and every wording of a question (`data/texts/table_questions.yml`), was written for this book. Two things are held
out: names, cities, countries and jobs of the training tables never occur in validation or test tables, and the last
wordings of every list (`UNSEEN` of them) are kept for tests.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from faker.providers.address.de_DE import Provider as Cities
from faker.providers.address.en import Provider as Countries
from faker.providers.job import Provider as Jobs
from faker.providers.person.en_GB import Provider as Names

from utils import ROOT

AGGREGATIONS = ("NONE", "SUM", "AVERAGE", "COUNT")  # in the order of google/tapas-base-finetuned-wtq
UNSEEN = 1  # so many wordings at the end of each list are kept for tests


@dataclass(frozen=True)
class Table:
    """`header`: one name per column; `rows`: cells as text; `subject`: the column that names the row."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    subject: int = 0

    def frame(self):
        """The table as a pandas DataFrame of strings, as TapasTokenizer takes it."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=self.header)

    def column(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]


@dataclass(frozen=True)
class Question:
    """`text` about `table`; `cells`, (row, column) pairs in order, and `aggregation`, an index of AGGREGATIONS, answer it.

    kind: what has to be done, such as "lookup". wording: an id of the pattern it was made from. previous: the cells
    that answered the question before, in a conversation, else empty.
    """

    text: str
    table: Table
    cells: tuple[tuple[int, int], ...]
    aggregation: int
    kind: str
    wording: str
    previous: tuple[tuple[int, int], ...] = field(default=())

    @property
    def answer(self) -> str:
        """What a person would reply."""
        return answer(self.table, self.cells, self.aggregation)


@dataclass(frozen=True)
class Statement:
    """A sentence about `table` that is true or false; kind: "value", "most", "least" or "more"."""

    text: str
    table: Table
    true: bool
    kind: str


def answer(table: Table, cells, aggregation: int) -> str:
    """The reply that cells and aggregation amount to: "28", "Anna Berg, Tom Hill", "3", "41.5"; "" for no cells.

    SUM and AVERAGE of cells that are no numbers give "not a number".
    """
    values = [table.rows[row][column] for row, column in sorted(cells)]
    if aggregation == AGGREGATIONS.index("COUNT"):
        return str(len(values))
    if not values:
        return ""
    if aggregation == AGGREGATIONS.index("NONE"):
        return ", ".join(values)
    try:
        numbers = [float(v) for v in values]
    except ValueError:
        return "not a number"
    return f"{sum(numbers) / (len(numbers) if AGGREGATIONS[aggregation] == 'AVERAGE' else 1):g}"


# --- what the tables are about -----------------------------------------------------------------------------------

DEPARTMENTS = "Sales Research Finance Kitchen Garden Library Workshop Reception Design Transport Archive Laboratory".split()
HOBBIES = "chess rowing painting cooking sailing knitting climbing cycling singing fishing pottery skating".split()
NOUNS = """anchor apple arrow bag band bell bird boat bone book bottle bowl box branch bread bridge brush bus button cable camera candle
    card carpet castle chain chair clock cloud coat coin corn crown cup curtain desk door drum engine feather fence field flag
    floor flower forest fork garden gate glass glove gold grass hammer hat hill horse island jacket jar key kite knife ladder lake
    lamp leaf letter lock mark mirror moon mountain needle nest ocean oven paint paper path pen phone piano pillow pipe plate
    pocket pond rail ring river road rocket roof rope sail salt sand school seed shelf shell ship shirt shoe signal silver
    snow soap spoon star stone storm street sugar sword table tent ticket tiger tower town train tree tunnel valley wagon wall
    watch wheel window wing wire wood yard zone""".split()


def _share(words) -> dict[str, list[str]]:
    """A fifth of the words for tests, a tenth for validation, the rest for training, by a hash of the word."""
    parts = {"train": [], "validation": [], "test": []}
    for word in sorted(set(words)):
        rest = zlib.crc32(word.encode()) % 10
        parts["test" if rest < 2 else "validation" if rest == 2 else "train"].append(word)
    return parts


FIRST, LAST = _share(Names.first_names), _share(Names.last_names)
POOLS = {
    "city": _share(Cities.cities),
    "country": _share(c for c in Countries.countries if c.isalpha()),
    "job": _share(j for j in Jobs.jobs if j.isalpha()),
    "department": {s: DEPARTMENTS for s in FIRST},
    "hobby": {s: HOBBIES for s in FIRST},
}
RANGES = {  # lowest, highest, step
    "age": (18, 79, 1),
    "salary": (900, 9900, 50),
    "years": (0, 40, 1),
    "height": (148, 204, 1),
    "children": (0, 6, 1),
    "points": (0, 99, 1),
}

# Wordings: of a column's own ("people"), for any column ("any"), and of statements.
_WORDINGS = yaml.safe_load((ROOT / "data" / "texts" / "table_questions.yml").read_text(encoding="utf-8"))
PEOPLE, ANY, STATEMENTS = _WORDINGS["people"], _WORDINGS["any"], _WORDINGS["statements"]

# A domain no training table is about: goods of a shop. Only the wordings of ANY fit.
GOODS = {
    "subject": ["article", "product", "item"],
    "names": """armchair backpack blender bookcase bracelet bucket compass cushion dictionary doormat envelope flashlight
        hairbrush headphones kettle lantern mattress microscope necklace notebook pencil postcard puzzle raincoat
        saucepan scarf scissors screwdriver suitcase telescope thermometer toaster toothbrush trumpet tripod
        umbrella vase violin wallet whistle""".split(),
    "text": {
        "colour": "red green blue yellow white black brown grey orange purple".split(),
        "material": "wood steel paper leather cotton plastic copper rubber".split(),
        "origin": "Japan Brazil Kenya Norway Canada Poland Chile Egypt".split(),
    },
    "number": {"price": (5, 480, 5), "weight": (40, 3900, 20), "stock": (0, 90, 1), "rating": (1, 60, 1)},
}


# --- making tables -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    key: str | None  # of PEOPLE, or None where only the wordings of ANY fit
    header: str
    cells: tuple[str, ...]
    numeric: bool


def make_table(
    rng: random.Random, split: str = "train", rows: int = 5, columns: int = 4, about: str = "people"
) -> tuple[Table, list[_Column]]:
    """A random table, and what its columns are; a column that is about nothing in particular comes up now and then.

    split: whose names and cities; about: "people" or "goods". Names in a table differ; text columns repeat values.
    """
    if about == "goods":
        subject = _Column(None, rng.choice(GOODS["subject"]), tuple(rng.sample(GOODS["names"], rows)), False)
        made = [_text(rng, None, k, v, rows) for k, v in GOODS["text"].items()] + [
            _number(rng, None, k, r, rows) for k, r in GOODS["number"].items()
        ]
        rng.shuffle(made)
        made = made[: columns - 1]
    else:
        people = [f"{f} {s}" for f, s in zip(rng.sample(FIRST[split], rows), rng.sample(LAST[split], rows), strict=True)]
        subject = _Column(None, rng.choice(["name", "person", "employee", "member"]), tuple(people), False)
        keys = rng.sample(list(PEOPLE), columns - 1)
        made = []
        for key in keys:
            header = rng.choice(PEOPLE[key]["header"])
            if rng.random() < 0.3:  # a column about nothing in particular: only its header tells it
                noun = rng.choice(NOUNS)
                if rng.random() < 0.5:
                    made.append(_number(rng, None, noun, (0, rng.choice([20, 100, 1000, 9000]), 1), rows))
                else:
                    made.append(_text(rng, None, noun, NOUNS, rows))
            elif key in RANGES:
                made.append(_number(rng, key, header, RANGES[key], rows))
            else:
                made.append(_text(rng, key, header, POOLS[key][split], rows))
    at = 0 if rng.random() < 0.6 else rng.randrange(columns)
    made.insert(at, subject)
    table = Table(tuple(c.header for c in made), tuple(zip(*(c.cells for c in made), strict=True)), at)
    return table, made


def _text(rng, key, header, pool, rows) -> _Column:
    few = rng.sample(pool, min(len(pool), max(2, rng.randint(rows // 2, rows))))
    return _Column(key, header, tuple(rng.choice(few) for _ in range(rows)), False)


def _number(rng, key, header, limits, rows) -> _Column:
    low, high, step = limits
    possible = range(low, high + 1, step)
    return _Column(
        key, header, tuple(map(str, rng.sample(possible, rows) if len(possible) > 2 * rows else rng.choices(possible, k=rows))), True
    )


# --- asking ------------------------------------------------------------------------------------------------------

SINGLE = ("lookup", "most", "least", "highest", "lowest")
SEVERAL = ("who", "more", "fewer")
CALCULATED = ("count", "count all", "sum", "average", "sum of", "average of")
FOLLOWING = ("and", "of them most", "of them least", "of them count")
KINDS = SINGLE + SEVERAL + CALCULATED


def ask(
    rng: random.Random, table: Table, columns: list[_Column], kind: str, unseen: bool = False, specific: float = 0.6
) -> Question | None:
    """One question of that kind about the table, or None where this draw has no unique answer (draw again).

    unseen: only wordings kept for tests. specific: how often a wording of the column itself is taken before one that
    fits any column.
    """
    cells, aggregation, words, slots = None, 0, kind, {}
    column = rng.choice([i for i in range(len(columns)) if i != table.subject])
    about = columns[column]
    row = rng.randrange(len(table.rows))
    if kind == "lookup":
        cells, slots = [(row, column)], {"n": table.rows[row][table.subject]}
    elif kind in ("who", "count", "sum of", "average of", "more", "fewer"):
        rows, name, slots = _condition(rng, about, row, {"more": "more", "fewer": "fewer", "who": "text"}.get(kind))
        if not rows:
            return None
        if kind in ("who", "more", "fewer"):
            cells = [(r, table.subject) for r in rows]
        else:
            slots["those"] = _fill(rng, about, "those" if name == "text" else f"those {name}", slots, unseen, specific)[0]
            if kind == "count":
                cells, aggregation = [(r, table.subject) for r in rows], 3
            else:
                numeric = [i for i, c in enumerate(columns) if c.numeric and i != column]
                if not numeric:
                    return None
                column = rng.choice(numeric)
                about = columns[column]
                cells, aggregation = [(r, column) for r in rows], 1 if kind == "sum of" else 2
    elif kind == "count all":
        cells, aggregation = [(r, table.subject) for r in range(len(table.rows))], 3
    elif about.numeric and kind in ("sum", "average"):
        cells, aggregation = [(r, column) for r in range(len(table.rows))], 1 if kind == "sum" else 2
    elif about.numeric and kind in ("most", "least", "highest", "lowest"):
        best = _best(about, range(len(table.rows)), largest=kind in ("most", "highest"))
        if best is None:
            return None
        cells = [(best, table.subject if kind in ("most", "least") else column)]
    if cells is None:
        return None
    text, wording = _fill(rng, about, words, slots, unseen, specific)
    return Question(text, table, tuple(sorted(cells)), aggregation, kind, wording)


def follow_up(rng: random.Random, first: Question, columns: list[_Column], kind: str, unseen: bool = False) -> Question | None:
    """A question that can only be understood after `first`, whose answer it takes up; None where this draw has none."""
    if first.aggregation:
        return None
    table, rows = first.table, sorted({r for r, _ in first.cells})
    column = rng.choice([i for i in range(len(columns)) if i != table.subject])
    about = columns[column]
    if kind == "and":
        if (first.cells[0][1]) == column:
            return None
        cells, aggregation = [(r, column) for r in rows], 0
    elif kind == "of them count":
        cells, aggregation = list(first.cells), 3
    else:
        if len(rows) < 2 or not about.numeric:
            return None
        best = _best(about, rows, largest=kind == "of them most")
        if best is None:
            return None
        cells, aggregation = [(best, table.subject)], 0
    text, wording = _fill(rng, about, kind, {}, unseen, 0.0)
    return Question(text, table, tuple(sorted(cells)), aggregation, kind, wording, first.cells)


def statements(
    seed: int, split: str = "train", rows=(2, 6), columns=(2, 4), unseen: bool = False, kinds=tuple(STATEMENTS)
) -> Iterator[Statement]:
    """Statements without end, as many true as false in the long run; no two of the numbers they are about are equal.

    A false statement names another row of the same column, so that the sentence alone does not give it away.
    """
    rng = random.Random(f"statements/{seed}/{split}/{unseen}")
    while True:
        table, made = make_table(rng, split, rng.randint(*rows), rng.randint(*columns))
        column = rng.choice([i for i in range(len(made)) if i != table.subject])
        about, kind, true = made[column], rng.choice(kinds), rng.random() < 0.5
        first, second = rng.sample(range(len(table.rows)), 2)
        if kind != "value" and not (about.numeric and len(set(about.cells)) == len(about.cells)):
            continue
        if kind == "value":
            if about.cells[first] == about.cells[second]:
                continue
            value = about.cells[first if true else second]
        else:
            value = ""
            order = sorted(range(len(table.rows)), key=lambda r: int(about.cells[r]))
            if kind == "more":
                second, first = sorted((first, second), key=order.index) if true else sorted((first, second), key=order.index, reverse=True)
            else:
                best = order[-1 if kind == "most" else 0]
                first = best if true else rng.choice([r for r in order if r != best])
        names = [table.rows[r][table.subject] for r in (first, second)]
        wordings = STATEMENTS[kind]
        wording = rng.choice(wordings[-UNSEEN:] if unseen else wordings[:-UNSEEN])
        yield Statement(wording.format(h=about.header, n=names[0], m=names[1], v=value), table, true, kind)


def _condition(rng, column: _Column, row: int, wanted: str | None):
    """The rows that a condition on the column picks out, the condition's name, and its slots; no rows if it cannot be."""
    if not column.numeric:
        if wanted not in (None, "text"):
            return [], "", {}
        value = column.cells[row]
        return [r for r, v in enumerate(column.cells) if v == value], "text", {"v": value}
    name = wanted if wanted in ("more", "fewer") else rng.choice(["more", "fewer"])
    if wanted == "text":
        return [], "", {}
    numbers = [int(v) for v in column.cells]
    if min(numbers) == max(numbers):
        return [], "", {}
    limit = rng.randint(min(numbers), max(numbers) - 1) if name == "more" else rng.randint(min(numbers) + 1, max(numbers))
    if limit > 100:
        limit = round(limit, -2)
    rows = [r for r, v in enumerate(numbers) if (v > limit if name == "more" else v < limit)]
    return (rows if len(rows) < len(numbers) else []), name, {"x": str(limit)}


def _best(column: _Column, rows, largest: bool) -> int | None:
    """The row with the largest (smallest) number, or None for a draw."""
    numbers = {r: int(column.cells[r]) for r in rows}
    top = (max if largest else min)(numbers.values())
    found = [r for r, v in numbers.items() if v == top]
    return found[0] if len(found) == 1 else None


def _fill(rng, column: _Column, kind: str, slots: dict, unseen: bool, specific: float) -> tuple[str, str]:
    """A wording of that kind with its slots filled, and the wording's id."""
    own = PEOPLE.get(column.key, {}).get(kind) if rng.random() < specific else None
    source, wordings = (column.key, own) if own else ("any", ANY.get(kind) or PEOPLE[column.key][kind])
    number = rng.randrange(len(wordings) - UNSEEN, len(wordings)) if unseen else rng.randrange(len(wordings) - UNSEEN)
    return wordings[number].format(h=column.header, **slots), f"{source}/{kind}/{number}"


def questions(
    seed: int,
    split: str = "train",
    kinds=KINDS,
    rows=(2, 7),
    columns=(2, 5),
    about: str = "people",
    unseen: bool = False,
    per_table: int = 1,
) -> Iterator[Question]:
    """Questions without end, `per_table` to a table; rows and columns are the smallest and largest sizes, columns ≥ 2.

    The same arguments give the same questions. unseen: with the wordings that were kept for tests.
    """
    rng = random.Random(f"{seed}/{split}/{about}/{unseen}")
    while True:
        table, made = make_table(rng, split, rng.randint(*rows), rng.randint(*columns), about)
        found = []
        for _ in range(20 * per_table):
            kind = rng.choice(kinds)
            if kind in FOLLOWING:
                first = ask(rng, table, made, rng.choice(SINGLE + SEVERAL), unseen)
                question = first and follow_up(rng, first, made, kind, unseen)
            else:
                question = ask(rng, table, made, kind, unseen, specific=0.0 if about == "goods" else 0.6)
            if question:
                found.append(question)
            if len(found) == per_table:
                break
        yield from found
