"""A reader's own table as a `Table`: from a CSV file, or from UCI Adult or Ames Housing as published. Imported by chapters.

What cannot be used is refused with an `OwnFileError`: one sentence that names the column and says what to do. What is
decided without asking (a column left out, rows drawn at random) stands in the table's notes.
"""

from __future__ import annotations

import csv
import difflib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from utils import own_files, own_records
from utils.embedded import tables
from utils.embedded.tables import MISSING, Table, TableError
from utils.own_files import OwnFileError

MOST_ROWS = 50_000  # of a reader's table; of a longer one so many are drawn
FEWEST_ROWS = 50  # for five folds
FEWEST_OF_A_CLASS = 10  # so that every fold has some
MOST_CLASSES = 20
MARK = " is empty"  # the end of the name of a column that marks empty cells
_EMPTY = ["", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null"]
_ID = re.compile(r"(^|[_ ])(p?id|uuid|index|order|key)$", re.IGNORECASE)

# UCI Adult has no header; these are the names of its description (Becker and Kohavi, 1996, CC BY 4.0).
_ADULT = """age workclass fnlwgt education education-num marital-status occupation relationship race sex capital-gain
    capital-loss hours-per-week native-country income""".split()
_ADULT_LABELS = {"<=50K", ">50K"}
# Ames Housing has one (De Cock, 2011); this column holds numbers that are codes.
_AMES = {"Order", "PID", "MS SubClass", "Neighborhood", "SalePrice"}
_AMES_CODES = {"MS SubClass"}


def load(data: str, task: str, target: str = "", most_rows: int = MOST_ROWS) -> Table:
    """The table that `data` names: "embedded/…", a CSV file with a header, `adult.data`, Ames' `housing.csv`, or a folder with one.

    task: "classification" or "regression". target: the column to predict; not needed where the table is a known one.
    A relative path is looked for where the notebook runs, then in the book's folder. Raises OwnFileError in one sentence.
    """
    if data.startswith("embedded/"):
        table = tables.load(data)
        if table.task != task:
            raise TableError(f"{data!r} is for {table.task}, not for {task}; give another table.")
        return table
    path = _find(data)
    first = _first_line(path)
    if _is_adult(first):
        return _adult(path, task, most_rows)
    frame, rows = _read(path, most_rows, **_layout(path, first))
    known = "ames" if set(frame) >= _AMES else ""
    target = target or ("SalePrice" if known and task == "regression" else "")
    origin = "Ames Housing (De Cock, 2011), free for use in education" if known else f"the reader's own file {path.name}"
    table = _table(known or path.stem, frame, task, target, origin, codes=_AMES_CODES if known else ())
    return _announce(table, rows, len(frame))


def keep_results(name: str, data: str, table: Table, scores: dict, seconds: dict, splits: int, **more) -> str:
    """Keep what the models reached on a reader's table for the results page; returns the file's name.

    data: where the table came from, of which only the last name is kept. scores: model → frame of measures, the chief
    one first, one row for each of the `splits`. seconds: model → seconds of one training; a model without is left out.
    more: `published` and `source`, as in `own_records.keep`.
    """
    test = f", tested on {len(table.test[0]):,} rows set aside by the publisher" if table.test else ""
    return own_records.keep(
        name,
        table.name,
        about=f"{table.origin}: {len(table):,} rows, {table.features.shape[1]} columns{test}; {splits} trainings of each model",
        command=f"python -m utils.book run 12 --timeout 3600 -p {table.task}_data={Path(data).name} -p keep={name}",
        models={
            m: {**{c: frame[c].tolist() for c in frame}, "seconds": round(seconds[m], 2)} for m, frame in scores.items() if m in seconds
        },
        **more,
    )


# ---------------------------------------------------------------- the file


def _find(data: str) -> Path:
    """The file that is meant; in a folder it is adult.data, housing.csv or the only CSV file."""
    path = own_files.find(data, "file or folder", "the path of a CSV file, or the name of an embedded table")
    if path.is_file():
        return path
    for name in ("adult.data", "housing.csv"):
        if (path / name).is_file():
            return path / name
    found = sorted(path.glob("*.csv"))
    if len(found) != 1:
        there = ", ".join(p.name for p in found[:5]) or "none"
        raise OwnFileError(f"The folder {data!r} should hold one CSV file, and there are {len(found)} ({there}); give the file itself.")
    return found[0]


def _first_line(path: Path) -> str:
    """The first line that says something, checked to be text."""
    with open(path, "rb") as file:
        start = file.read(1 << 16)
    if not start.strip():
        raise OwnFileError(f"The file {path.name!r} is empty; give a CSV file with a header and rows.")
    try:
        text = start.decode("utf-8-sig") if len(start) < 1 << 16 else start.rpartition(b"\n")[0].decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise OwnFileError(f"The file {path.name!r} is not text in UTF-8; save the table as CSV (UTF-8).")
    return next(line for line in text.splitlines() if line.strip())


def _layout(path: Path, first: str) -> dict:
    """How to read a CSV file with a header: its separator; OwnFileError for a header that is none or names a column twice."""
    separator = max(",;\t", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    if all(_is_number(name) or not name for name in names):
        raise OwnFileError(f"The file {path.name!r} has no header: its first line holds numbers only; write the columns' names above it.")
    if twice := [name for name in dict.fromkeys(names) if name and names.count(name) > 1]:
        raise OwnFileError(f"The column {twice[0]!r} stands twice in the header of {path.name!r}; rename or remove one of them.")
    return {"sep": separator, "header": 0}


def _read(path: Path, most_rows: int, seed: int = 0, **layout) -> tuple[pd.DataFrame, int]:
    """All cells as text, NaN where empty, and how many rows the file has; of too many rows a random part is read."""
    with open(path, "rb") as file:
        rows = sum(1 for line in file if line.strip()) - (layout["header"] == 0)
    if rows < 1:
        raise OwnFileError(f"The file {path.name!r} has a header, but no rows.")
    if rows > most_rows:
        kept = set(np.random.default_rng(seed).choice(rows, most_rows, replace=False).tolist())
        shift = layout["header"] == 0
        layout["skiprows"] = lambda line: line >= shift and line - shift not in kept
    try:
        frame = pd.read_csv(
            path, dtype=str, keep_default_na=False, na_values=_EMPTY, skipinitialspace=True, comment=None, encoding="utf-8-sig", **layout
        )
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        where = re.search(r"line (\d+)", str(error))
        line = f" at line {where[1]}" if where else ""
        raise OwnFileError(f"The file {path.name!r} cannot be read{line}: it has more cells than columns.") from None
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame.apply(lambda column: column.str.strip()), rows


def _announce(table: Table, rows: int, read: int) -> Table:
    if rows > read:
        table.notes.insert(0, f"The file has {rows:,} rows; {read:,} of them, drawn at random, are used.")
    return table


# ---------------------------------------------------------------- UCI Adult, as published


def _is_adult(first: str) -> bool:
    """Fifteen cells and one of the two labels at the end; or the line that opens adult.test in UCI's archive."""
    cells = [cell.strip() for cell in first.split(",")]
    return len(cells) == len(_ADULT) and cells[-1].rstrip(".") in _ADULT_LABELS or first.startswith("|1x3 Cross validator")


def _adult(path: Path, task: str, most_rows: int) -> Table:
    if task != "classification":
        raise OwnFileError(f"UCI Adult ({path.name}) is for classification; give it as classification_data.")
    if path.name == "adult.test":
        raise OwnFileError("adult.test is the part to test on; give adult.data, or the folder that holds both.")
    frame, rows = _adult_part(path, most_rows)
    table = _table("adult", frame, task, "income", "UCI Adult (Becker and Kohavi, 1996), CC BY 4.0")
    beside = path.with_name("adult.test")
    if beside.is_file() and _first_line(beside):
        table = _with_test(table, _adult_part(beside, 10**9)[0])
    else:
        table.notes.append("There is no adult.test beside adult.data, so the rows of adult.data are cross-validated.")
    return _announce(table, rows, len(frame))


def _adult_part(path: Path, most_rows: int) -> tuple[pd.DataFrame, int]:
    """One of Adult's two files; the labels of adult.test end in a dot, which goes."""
    with open(path, encoding="utf-8") as file:
        odd = file.readline().startswith("|")
    frame, rows = _read(path, most_rows, header=None, names=_ADULT)
    if odd:
        frame, rows = frame.iloc[1:].reset_index(drop=True), rows - 1
    frame["income"] = frame["income"].str.rstrip(".")
    if wrong := set(frame["income"].dropna()) - _ADULT_LABELS:
        raise OwnFileError(f"The column 'income' of {path.name} holds {sorted(wrong)[0]!r}; UCI Adult has only <=50K and >50K there.")
    return frame, rows


def _with_test(table: Table, frame: pd.DataFrame) -> Table:
    """The publisher's own test rows, with the columns that the training rows have."""
    frame = frame[frame["income"].notna()].reset_index(drop=True)
    numbers = {c: _number(frame[c], c) for c in table.numbers if c in frame}
    marks = {c: numbers[c.removesuffix(MARK)].isna().astype(float) for c in table.numbers if c not in frame}
    features = pd.DataFrame({**numbers, **marks, **{c: frame[c].fillna(MISSING) for c in table.categories}})[list(table.features)]
    table.test = features, frame["income"].rename("income")
    table.notes.append(f"adult.test stands beside it: its {len(frame):,} rows are the test rows, and nothing is tuned on them.")
    for c in table.categories:
        if new := int((~features[c].isin(table.features[c].unique())).sum()):
            table.notes.append(f"In {c!r} {new} test rows have a value that no training row has; it is treated as unknown.")
    return table


# ---------------------------------------------------------------- columns


def _table(name, frame, task, target, origin, codes=()) -> Table:
    """Columns recognised as numbers and categories; ids, constants and repetitions left out, with a note for each."""
    frame, answers, notes = _target(frame, task, target)
    numbers, categories, features = [], [], {}
    for column in frame.columns.drop(answers.name):
        cells = frame[column]
        if why := _useless(column, cells):
            notes.append(f"{column!r} is left out: {why}.")
        elif column not in codes and _share_of_numbers(cells) > 0.5:
            features[column] = _number(cells, column)
            numbers.append(column)
        else:
            features[column] = _category(cells, column)
            categories.append(column)
    for column in numbers[:]:
        if features[column].isna().mean() >= 0.01:
            features[column + MARK] = features[column].isna().astype(float)
            numbers.append(column + MARK)
    features = pd.DataFrame(features, index=frame.index)
    for column, twin in _repetitions(features, [*numbers, *categories]):
        notes.append(f"{column!r} is left out: it says the same as {twin!r}.")
        features = features.drop(columns=column)
    numbers, categories = ([c for c in kind if c in features] for kind in (numbers, categories))
    features = features[[*numbers, *categories]]
    if not (numbers or categories):
        raise OwnFileError(f"No column besides the target {answers.name!r} can be used as a feature.")
    empty = int(sum(features[c].isna().sum() for c in numbers) + sum((features[c] == MISSING).sum() for c in categories))
    if empty:
        notes.append(f"{empty:,} cells are empty: a category “{MISSING}”; for numbers the training rows' median, and a column of marks.")
    return Table(name, task, features, answers, numbers, categories, origin, notes=notes)


def _target(frame: pd.DataFrame, task: str, target: str) -> tuple[pd.DataFrame, pd.Series, list[str]]:
    """The rows whose target is known, the target, and a note about rows without."""
    if not target:
        raise OwnFileError(f"Say which column is to be predicted, with -p {task}_target=NAME; there are: {', '.join(map(str, frame))}.")
    if target not in frame:
        near = difflib.get_close_matches(target, list(frame), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(map(str, frame))}."
        raise OwnFileError(f"There is no column {target!r} to predict; {hint}")
    known, notes = frame[target].notna(), []
    if not known.all():
        notes.append(f"{int((~known).sum()):,} rows without {target!r} are left out.")
    frame = frame[known].reset_index(drop=True)
    if len(frame) < FEWEST_ROWS:
        raise OwnFileError(f"There are {len(frame)} rows with a target; at least {FEWEST_ROWS} are needed for training and testing.")
    answers = frame[target]
    if task == "regression":
        if _share_of_numbers(answers) <= 0.5:
            raise OwnFileError(
                f"The target {target!r} holds text such as {answers[0]!r}, and a regression needs numbers; is it a classification?"
            )
        answers = _number(answers, target)
    counts = answers.value_counts()
    if len(counts) == 1:
        only = str(counts.index[0])
        raise OwnFileError(f"The target {target!r} has the one value {only!r} in every row, so there is nothing to learn.")
    if task == "classification":
        if len(counts) > MOST_CLASSES:
            many = f"{len(counts):,} classes, and {MOST_CLASSES} at most can be told apart"
            raise OwnFileError(f"The target {target!r} has {many}; is it a regression?")
        if counts.min() < FEWEST_OF_A_CLASS:
            raise OwnFileError(
                f"The class {counts.index[-1]!r} of {target!r} has {counts.min()} rows; {FEWEST_OF_A_CLASS} are needed to be in every fold: "
                "merge it with another or remove its rows."
            )
    return frame, answers, notes


def _useless(column: str, cells: pd.Series) -> str:
    """Why a column cannot help: nothing in it, one value, a counter or another number of the row; empty when it can."""
    values = cells.dropna()
    if not len(values):
        return "all its cells are empty"
    if values.nunique() == 1 and len(values) == len(cells):
        return f"every row has the same value, {values.iloc[0]!r}"
    if len(values) == len(cells) and values.is_unique:
        numbers = pd.to_numeric(values, errors="coerce")
        whole = numbers.notna().all() and (numbers % 1 == 0).all()
        if whole and (numbers.diff().dropna() == 1).all():
            return "it counts the rows"
        if (whole or numbers.isna().all()) and _ID.search(column) or column.startswith("Unnamed:"):
            return "it names the row (every value once)"
    return ""


def _repetitions(features: pd.DataFrame, order: list[str]):
    """(column, twin) where the two match one to one; the later one goes, and text goes before numbers.

    Columns with a value of their own in nearly every row always match one to one; there only equal values count.
    """
    codes, gone = {}, set()
    for c in order:
        places, distinct = features[c].factorize(use_na_sentinel=False)
        codes[c] = places if len(distinct) <= len(features) / 2 else features[c].fillna(np.inf).to_numpy()
    for place, twin in enumerate(order):
        for column in order[place + 1 :]:
            if not {column, twin} & gone and np.array_equal(codes[column], codes[twin]):
                gone.add(column)
                yield column, twin


def _number(cells: pd.Series, column: str) -> pd.Series:
    """Text as floats; OwnFileError that names the column and the first cell that is no number."""
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    wrong = cells[(cells.notna() & numbers.isna()) | np.isinf(numbers)]
    if len(wrong):
        raise OwnFileError(
            f"The column {column!r} holds numbers, but text in {len(wrong):,} of {len(cells):,} rows, such as {wrong.iloc[0]!r} "
            f"in row {wrong.index[0] + 1}: correct these cells or empty them."
        )
    return numbers


def _category(cells: pd.Series, column: str) -> pd.Series:
    distinct, most = cells.nunique(), min(200, max(50, len(cells) // 20))
    if distinct > most:
        raise OwnFileError(
            f"The column {column!r} is neither numbers nor categories: {distinct:,} different texts in {len(cells):,} rows, such as "
            f"{cells.dropna().iloc[0][:40]!r}; remove it, or turn it (a date, an address, free text) into numbers or fewer categories."
        )
    return cells.fillna(MISSING)


def _share_of_numbers(cells: pd.Series) -> float:
    return float(pd.to_numeric(cells.dropna(), errors="coerce").notna().mean())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
