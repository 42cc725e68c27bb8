"""A reader's own texts: what is refused, what is left out, and how it is divided.

With BOOK_REAL_DATA naming a folder with movie_reviews/, clinc150/ and ag_news/ as published, the real files are read too.
"""

import csv
import json
import os
import tarfile
from pathlib import Path

import pytest

from utils import own_labels
from utils.own_files import OwnFileError


def write(path: Path, rows, header=("text", "label"), encoding="utf-8", **how) -> Path:
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file, **how).writerows([header, *rows])
    return path


def some(count=20):
    return [(f"{'good' if n % 2 else 'bad'}, number {n}", "positive" if n % 2 else "negative") for n in range(count)]


def test_texts_are_divided_by_label_and_none_is_in_both_parts(tmp_path):
    found = own_labels.load(write(tmp_path / "mine.csv", some(40)))
    assert found.name == "mine" and found.classes == ["negative", "positive"] and found.notes == []
    assert {part: len(t) for part, t in found.texts.items()} == {"train": 28, "test": 12}
    assert not set(found.texts["train"]) & set(found.texts["test"])
    assert found.labels["test"].sum() == 6
    assert all(("good" in t) == bool(n) for part in found.texts for t, n in zip(found.texts[part], found.labels[part], strict=True))


def test_the_seed_decides_the_division(tmp_path):
    path = write(tmp_path / "mine.csv", some(40))
    assert own_labels.load(path).texts == own_labels.load(path).texts != own_labels.load(path, seed=1).texts


@pytest.mark.parametrize("how", [{"delimiter": ";"}, {"delimiter": "\t"}, {"encoding": "utf-8-sig"}, {"header": ("Label", " TEXT ")}])
def test_what_spreadsheets_write_is_read(tmp_path, how):
    rows = [(b, a) for a, b in some()] if "header" in how else some()
    assert own_labels.load(write(tmp_path / "mine.csv", rows, **how)).classes == ["negative", "positive"]


def test_what_is_left_out_is_said(tmp_path):
    rows = [*some(40), *some(4), ("good, number 1", "negative"), ("", "positive"), ("no label", ""), ("rare", "other")]
    found = own_labels.load(write(tmp_path / "mine.csv", rows), most_rows=30)
    assert found.notes == [
        "2 rows without text or label were left out",
        "1 texts have more than one label; the first was taken",
        "5 rows repeat a text; each was taken once, so that no test text is a training text",
        "1 labels with fewer than 8 texts were left out",
        "30 of 40 texts were drawn at random",
    ]
    assert sum(map(len, found.texts.values())) == 30


REFUSED = [
    ([], {}, "mine.csv holds no row with a text and a label"),
    (some(), {"header": ("txet", "label")}, "mine.csv has no column 'text': rename 'txet'"),
    (some(), {"header": ("a", "b")}, "mine.csv has no column 'text': it has 'a', 'b'"),
    ([(f"t{n}", "one") for n in range(20)], {}, "mine.csv has 1 label with 8 texts or more; two are needed"),
    (some(12), {}, "mine.csv has 0 labels with 8 texts or more; two are needed"),
    ([(b, f"{a} {n}") for n in range(30) for a, b in [("x", f"label {n % 300}")]] * 1, {}, "has 0 labels"),
    ([(f"{n}", f"a long text, number {n}") for n in range(500)], {}, "are text and label swapped?"),
    ([("schön", "a")] * 2, {"encoding": "latin-1"}, "mine.csv is not UTF-8; save it as “CSV UTF-8”"),
]


@pytest.mark.parametrize("rows, how, sentence", REFUSED)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path, rows, how, sentence):
    with pytest.raises(OwnFileError) as refused:
        own_labels.load(write(tmp_path / "mine.csv", rows, **how))
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_are_none_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(OwnFileError, match="There is no file 'gone.csv'"):
        own_labels.load("gone.csv")
    with pytest.raises(OwnFileError, match="is a folder"):
        own_labels.load(tmp_path)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(OwnFileError, match="empty.csv is empty"):
        own_labels.load(tmp_path / "empty.csv")
    (tmp_path / "broken.csv").write_text("text,label\na,b\nc,d,e\n")
    with pytest.raises(OwnFileError, match="broken.csv is not a CSV file .*quotation marks"):
        own_labels.load(tmp_path / "broken.csv")


def published(name: str) -> Path:
    folder = os.environ.get("BOOK_REAL_DATA")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"BOOK_REAL_DATA names no folder, so the published {name} files are not read")
    return Path(folder) / name


def movie_reviews(folder):
    with tarfile.open(folder / "review_polarity.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".txt") and member.isfile():
                yield archive.extractfile(member).read().decode("utf-8", "replace"), member.name.split("/")[-2]


def clinc150(folder):
    known = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))
    return [row for part in ("train", "val", "test", "oos_test") for row in known[part]]


def ag_news(folder):
    with open(folder / "test.csv", encoding="utf-8", newline="") as file:
        return [(f"{title}. {body}", label) for label, title, body in csv.reader(file) if label.isdigit()]


@pytest.mark.parametrize("name, read, classes", [("movie_reviews", movie_reviews, 2), ("clinc150", clinc150, 151), ("ag_news", ag_news, 4)])
def test_published_collections_are_read_whole(tmp_path, name, read, classes):
    rows = list(read(published(name)))
    found = own_labels.load(write(tmp_path / f"{name}.csv", rows))
    assert len(found.classes) == classes
    assert sum(map(len, found.texts.values())) >= 0.95 * min(len(rows), own_labels.MOST_ROWS)
