"""A reader's own labelled texts, from a CSV file with the columns text and label. Imported by chapters.

What cannot be used is refused with an `OwnFileError`: one sentence that says what was wrong and what to do. What is decided
without asking (empty rows, texts that come twice, labels with hardly any texts) stands in the notes.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from utils import own_files
from utils.own_files import OwnFileError

FEWEST_OF_A_CLASS = 8  # so that training and test both have some
MOST_CLASSES = 200
MOST_ROWS = 3000  # of a longer file so many are drawn
TEST_SHARE = 0.3


@dataclass
class Texts:
    """Texts with the numbers of their labels in two parts; no text is in both."""

    name: str
    classes: list[str]
    texts: dict[str, list[str]]  # "train" and "test"
    labels: dict[str, np.ndarray]
    notes: list[str] = field(default_factory=list)


def load(path: str | Path, most_rows: int = MOST_ROWS, seed: int = 0) -> Texts:
    """The texts of a CSV file, divided by label into 70 % for training and 30 % for the test.

    The file is UTF-8, has a header, and among its columns are `text` and `label`. A relative path is looked for where the
    notebook runs, then in the book's folder. most_rows: of a longer file so many rows are drawn. seed: of draw and division.
    Raises OwnFileError in one sentence.
    """
    from sklearn.model_selection import train_test_split

    path = own_files.find(path, "file", "the path of a CSV file with the columns text and label")
    frame, notes = _clean(_read(path), path.name)
    frame = _frequent(frame, path.name, notes)
    if len(frame) > most_rows:
        notes.append(f"{most_rows:,} of {len(frame):,} texts were drawn at random")
        frame, _ = train_test_split(frame, train_size=most_rows, stratify=frame["label"], random_state=seed)
        frame = _frequent(frame, path.name, notes)
    classes = sorted(frame["label"].unique())
    numbers = frame["label"].map({name: n for n, name in enumerate(classes)}).to_numpy()
    train, test = train_test_split(np.arange(len(frame)), test_size=TEST_SHARE, stratify=numbers, random_state=seed)
    parts = {"train": train, "test": test}
    texts = frame["text"].tolist()
    divided = {part: [texts[i] for i in rows] for part, rows in parts.items()}
    return Texts(path.stem, classes, divided, {part: numbers[rows] for part, rows in parts.items()}, notes)


def _read(path: Path) -> pd.DataFrame:
    try:
        with open(path, encoding="utf-8-sig") as file:
            header = file.readline()
        separator = max(",;\t", key=header.count)  # spreadsheets of some countries write semicolons
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep=separator)
    except UnicodeDecodeError:
        raise OwnFileError(f"{path.name} is not UTF-8; save it as “CSV UTF-8” in your spreadsheet.") from None
    except pd.errors.EmptyDataError:
        raise OwnFileError(f"{path.name} is empty; it needs a header with text and label, and one text a row.") from None
    except (pd.errors.ParserError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise OwnFileError(f"{path.name} is not a CSV file ({reason}); put quotation marks around texts that hold commas.") from None
    frame.columns = [str(c).strip().casefold() for c in frame.columns]
    for column in ("text", "label"):
        if column not in frame.columns:
            near = difflib.get_close_matches(column, frame.columns, 1)
            hint = f"rename {near[0]!r}" if near else "it has " + ", ".join(map(repr, list(frame.columns)[:6]))
            raise OwnFileError(f"{path.name} has no column {column!r}: {hint}; the header has to name text and label.")
    return frame[["text", "label"]]


def _clean(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Rows with text and label, every text once, and notes of what was left out."""
    notes = []
    frame = frame.map(lambda cell: " ".join(str(cell or "").split()))
    full = frame[(frame["text"] != "") & (frame["label"] != "")]
    if len(full) < len(frame):
        notes.append(f"{len(frame) - len(full):,} rows without text or label were left out")
    torn = full.groupby("text")["label"].nunique()
    torn = set(torn[torn > 1].index)
    if torn:
        notes.append(f"{len(torn):,} texts have more than one label; the first was taken")
    once = full.drop_duplicates("text")
    if len(once) < len(full):
        notes.append(f"{len(full) - len(once):,} rows repeat a text; each was taken once, so that no test text is a training text")
    if len(once) == 0:
        raise OwnFileError(f"{name} holds no row with a text and a label; each row needs both.")
    if once["label"].nunique() > max(MOST_CLASSES, len(once) // 2):
        raise OwnFileError(
            f"{name} has {once['label'].nunique():,} different labels in {len(once):,} rows; "
            "a label has to come often: are text and label swapped?"
        )
    return once, notes


def _frequent(frame: pd.DataFrame, name: str, notes: list[str]) -> pd.DataFrame:
    """Without labels of too few texts."""
    counts = frame["label"].value_counts()
    rare = counts[counts < FEWEST_OF_A_CLASS].index
    if len(counts) - len(rare) < 2:
        raise OwnFileError(
            f"{name} has {len(counts) - len(rare)} label{'s' * (len(counts) - len(rare) != 1)} with {FEWEST_OF_A_CLASS} texts or more; "
            "two are needed to tell them apart."
        )
    if len(counts) - len(rare) > MOST_CLASSES:
        raise OwnFileError(f"{name} has {len(counts) - len(rare)} labels, more than {MOST_CLASSES}; join some, or keep the frequent ones.")
    if len(rare):
        notes.append(f"{len(rare)} labels with fewer than {FEWEST_OF_A_CLASS} texts were left out")
    return frame[~frame["label"].isin(rare)]
