"""embedded/diamonds, embedded/fair and embedded/census: tables that are on every machine. Imported by chapters.

`load("embedded/fair")` gives a `Table`, the same that `utils.own_table` makes of a reader's file.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MISSING = "(missing)"  # the category that stands for an empty cell


class TableError(ValueError):
    """A table that cannot be used, and what to do about it, in one sentence."""


@dataclass
class Table:
    """One table and what is known about its columns.

    features: (rows, columns) of the numbers, as floats with NaN where a cell is empty, and the categories, as text with
    `MISSING` where a cell is empty. target: one label (text) or number for each row. test: features and target of the
    rows that the publisher set aside, or None. notes: what was decided on the way, in sentences for the reader.
    """

    name: str
    task: str  # "classification" or "regression"
    features: pd.DataFrame
    target: pd.Series
    numbers: list[str]
    categories: list[str]
    origin: str
    test: tuple[pd.DataFrame, pd.Series] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.target)

    def part(self, start: int, stop: int | None = None) -> Table:
        """Rows start … stop − 1 as a table of their own; a note says so. The embedded tables stand in random order."""
        rows = range(len(self))[start:stop]
        if len(rows) == len(self):
            return self
        features, target = (part.iloc[list(rows)].reset_index(drop=True) for part in (self.features, self.target))
        note = f"{len(rows):,} of its {len(self):,} rows are used."
        return replace(self, features=features, target=target, notes=[*self.notes, note])


def load(name: str) -> Table:
    """The table called "embedded/diamonds", "embedded/fair" or "embedded/census"; TableError for any other name."""
    if name not in _TABLES:
        near = difflib.get_close_matches(name, _TABLES, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(_TABLES)}."
        raise TableError(f"There is no embedded table {name!r}. {hint}")
    return _TABLES[name]()


def diamonds() -> Table:
    """53,940 diamonds; the target is the price in US dollars.

    Origin: Hadley Wickham's `diamonds` of ggplot2 (MIT Licence), prices of round-cut stones in 2008, as it comes with
    the package plotnine (MIT Licence). Numbers: carat, depth and table in per cent, x, y, z in millimetres.
    Categories: cut, colour (D best to J), clarity. The rows are sorted by price in part, so they are shuffled here.
    """
    from plotnine.data import diamonds as published

    frame = published.sample(frac=1, random_state=0).reset_index(drop=True)
    numbers, categories = ["carat", "depth", "table", "x", "y", "z"], ["cut", "color", "clarity"]
    features = frame[numbers].astype(float).join(frame[categories].astype(str))
    return Table("diamonds", "regression", features, frame["price"].astype(float), numbers, categories, "ggplot2, through plotnine; MIT")


def fair() -> Table:
    """6,366 answers to a magazine's survey of married women, 1974; the target is whether there was an affair.

    Origin: Fair, R. (1978), "A Theory of Extramarital Affairs", Journal of Political Economy 86; included in statsmodels
    with the author's permission (statsmodels: BSD 3-Clause). Numbers: age, years married, children, years of education;
    the answers were given in brackets, so each takes few values. Categories: how she rates her marriage (1 to 5), how
    religious she is (1 to 4), her and her husband's occupation (1 to 6). The readers of one magazine who chose to
    answer: no sample of any population.
    """
    from statsmodels.datasets import fair as published

    frame = published.load_pandas().data.sample(frac=1, random_state=0).reset_index(drop=True)
    numbers = ["age", "yrs_married", "children", "educ"]
    categories = ["rate_marriage", "religious", "occupation", "occupation_husb"]
    features = frame[numbers].astype(float).join(frame[categories].astype(int).astype(str))
    target = frame["affairs"].gt(0).map({True: "yes", False: "no"})
    origin = "R. Fair (1978), through statsmodels; with the author's permission"
    return Table("fair", "classification", features, target, numbers, categories, origin)


# ---------------------------------------------------------------- a census that nobody took, with a law that is known

_OCCUPATION = {"farm": -1.2, "care": -0.9, "sales": -0.5, "craft": -0.2, "office": 0.1, "teaching": 0.4, "trade": 0.9, "law": 1.4}
_SECTOR = {"public": 0.0, "private": 0.5, "charity": -0.5}
_HOURS_COUNT = {"permanent": 0.3, "temporary": 0.0, "self-employed": 1.3}
_EDUCATION_COUNTS = {"town": 1.4, "village": 0.4}


def census_people(rows: int, seed: int = 0) -> pd.DataFrame:
    """Features of `rows` people. All columns are drawn independently, but for `years_in_job`, which goes with age."""
    import pandas as pd

    draw = np.random.default_rng(seed)

    def one_of(values):
        return draw.choice(list(values), rows)

    age = draw.uniform(18, 75, rows).round()
    return pd.DataFrame(
        {
            "age": age,
            "education_years": draw.integers(8, 21, rows).astype(float),
            "weekly_hours": draw.uniform(10, 60, rows).round(),
            "years_in_job": ((age - 18) * draw.beta(4, 2, rows)).round(),
            "commute_minutes": draw.gamma(2.0, 15.0, rows).round(),
            "occupation": one_of(_OCCUPATION),
            "contract": one_of(_HOURS_COUNT),
            "place": one_of(_EDUCATION_COUNTS),
            "sector": one_of(_SECTOR),
            "partner": one_of(("yes", "no")),
            "shift": one_of(("day", "night")),
            "birth_month": one_of("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()),
            "blood_type": one_of(("0", "A", "B", "AB")),
        }
    )


def census_law(people: pd.DataFrame) -> np.ndarray:
    """The log-odds of a high income, (rows,): the whole truth about the census.

    Age counts by a hump. Education counts more in town than in a village, hours more with some contracts than with
    others. Night shifts pay for those without a partner, and for nobody else. Four columns do nothing at all:
    `years_in_job`, which merely goes with age, `commute_minutes`, `birth_month` and `blood_type`.
    """
    age = (people["age"] - 46) / 16
    education = (people["education_years"] - 14) / 3.75
    hours = (people["weekly_hours"] - 35) / 14.5
    together = (people["partner"] == "no") & (people["shift"] == "night")
    logits = (
        0.4
        - 1.0 * age**2
        + people["place"].map(_EDUCATION_COUNTS).astype(float) * education
        + people["contract"].map(_HOURS_COUNT).astype(float) * hours
        + people["occupation"].map(_OCCUPATION).astype(float)
        + people["sector"].map(_SECTOR).astype(float)
        + 2.0 * together
    )
    return 2.0 * logits.to_numpy()


def census_importance(rows: int = 20_000) -> pd.Series:
    """How much each column matters to the law: its total share of the variance of the log-odds, interactions included.

    Total-effect index of Sobol, by Jansen's estimator: half the mean squared change of the log-odds when this column
    alone is drawn anew, over their variance. What the law ignores has exactly 0. The shares add up to more than 1,
    since an interaction counts for each of its columns.
    """
    import pandas as pd

    people, others = census_people(rows, seed=1), census_people(rows, seed=2)
    truth = census_law(people)
    return pd.Series({c: np.mean((truth - census_law(people.assign(**{c: others[c]}))) ** 2) / 2 / truth.var() for c in people})


def census(rows: int = 6_000, seed: int = 0) -> Table:
    """`rows` generated people; the target is whether the income is high, drawn from the odds of `census_law`.

    Nobody's data: every value comes from a random generator with this seed.
    """
    import pandas as pd

    people = census_people(rows, seed)
    chance = 1 / (1 + np.exp(-census_law(people)))
    high = np.random.default_rng((seed, 1)).random(rows) < chance
    numbers = ["age", "education_years", "weekly_hours", "years_in_job", "commute_minutes"]
    target = pd.Series(np.where(high, "high", "low"), name="income")
    return Table("census", "classification", people, target, numbers, [c for c in people if c not in numbers], "generated by a known law")


_TABLES = {"embedded/diamonds": diamonds, "embedded/fair": fair, "embedded/census": census}
