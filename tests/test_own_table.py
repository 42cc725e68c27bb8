"""A reader's own file becomes a table, or one sentence says why not. The files are made here, in the published formats.

With BOOK_REAL_DATA naming a folder with adult/ and ames/ as published, the real files are read too.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from utils import own_records, own_table
from utils.book import pages
from utils.embedded.tables import MISSING, TableError
from utils.own_files import OwnFileError

EDUCATION = {"HS-grad": 9, "Some-college": 10, "Bachelors": 13, "Masters": 14}


def adult_lines(rows, seed=0, dot=""):
    """Lines in the published format of UCI Adult: no header, ", " between cells, ? where empty."""
    draw = np.random.default_rng(seed)
    lines = []
    for i in range(rows):
        education = draw.choice(list(EDUCATION))
        years, age, hours = EDUCATION[education], draw.integers(17, 80), draw.integers(10, 70)
        high = draw.random() < 1 / (1 + np.exp(-(years - 12 + (hours - 40) / 10)))
        cells = [
            age,
            "?" if i % 10 == 3 else draw.choice(["Private", "State-gov", "Self-emp-inc"]),
            draw.integers(10_000, 500_000),
            education,
            years,
            draw.choice(["Never-married", "Divorced", "Married-civ-spouse"]),
            draw.choice(["Sales", "Craft-repair", "Exec-managerial"]),
            draw.choice(["Husband", "Not-in-family"]),
            draw.choice(["White", "Black"]),
            draw.choice(["Male", "Female"]),
            int(draw.choice([0, 0, 0, 7688])),
            int(draw.choice([0, 0, 0, 1902])),
            hours,
            draw.choice(["United-States", "Cuba"]),
            (">50K" if high else "<=50K") + dot,
        ]
        lines.append(", ".join(map(str, cells)))
    return lines


def write_adult(folder, rows=300, test_rows=120):
    (folder / "adult.data").write_text("\n".join(adult_lines(rows)) + "\n\n")
    test = ["|1x3 Cross validator", *adult_lines(test_rows, seed=1, dot=".")]
    test[5] = test[5].replace("United-States", "Laos").replace("Cuba", "Laos")
    (folder / "adult.test").write_text("\n".join(test) + "\n\n")
    return str(folder)


def frame(rows=120, seed=0, **more):
    """A small table of a reader: two numbers, a category, a target of each kind."""
    draw = np.random.default_rng(seed)
    size = draw.normal(size=rows).round(3)
    columns = {
        "size": size,
        "weight": draw.normal(size=rows).round(3),
        "colour": draw.choice(["red", "green", "blue"], rows),
        "price": (10 + 3 * size + draw.normal(size=rows)).round(2),
        "good": np.where(size + draw.normal(size=rows) > 0, "yes", "no"),
    }
    return pd.DataFrame(columns | more)


def write(folder, table, name="mine.csv", **how):
    path = folder / name
    table.to_csv(path, index=False, **how)
    return str(path)


# ---------------------------------------------------------------- what can be read


def test_adult_as_published_is_recognised_with_its_test_part(tmp_path):
    table = own_table.load(write_adult(tmp_path), "classification")
    assert table.name == "adult" and "CC BY 4.0" in table.origin
    assert table.numbers == ["age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
    assert "workclass" in table.categories and "education" not in table.features
    assert len(table) == 300 and len(table.test[0]) == 120
    assert set(table.target) == set(table.test[1]) == {"<=50K", ">50K"}, "the dots of the test labels are gone"
    assert (table.features["workclass"] == MISSING).sum() == 30
    notes = "\n".join(table.notes)
    assert "'education' is left out: it says the same as 'education-num'" in notes
    assert "In 'native-country' 1 test rows have a value that no training row has" in notes


def test_adult_data_alone_is_cross_validated(tmp_path):
    write_adult(tmp_path)
    (tmp_path / "adult.test").unlink()
    table = own_table.load(str(tmp_path / "adult.data"), "classification")
    assert table.test is None and "cross-validated" in table.notes[-1]


def test_ames_loses_its_index_and_ids_and_keeps_missing_as_a_category(tmp_path):
    rows = 80
    ames = pd.DataFrame(
        {
            "Order": range(1, rows + 1),
            "PID": np.random.default_rng(0).permutation(rows) * 7 + 526_301_100,
            "MS SubClass": np.tile([20, 60], rows // 2),
            "Lot Frontage": [np.nan if i % 8 == 0 else 60.0 + i for i in range(rows)],
            "Neighborhood": np.tile(["NAmes", "OldTown", "Gilbert", "NAmes"], rows // 4),
            "Pool QC": ["Gd" if i % 11 == 0 else np.nan for i in range(rows)],
            "SalePrice": np.random.default_rng(1).integers(80_000, 400_000, rows),
        }
    )
    ames.to_csv(tmp_path / "housing.csv")
    table = own_table.load(str(tmp_path), "regression")
    assert table.name == "ames" and table.target.name == "SalePrice"
    assert table.numbers == ["Lot Frontage", "Lot Frontage is empty"] and table.categories == ["MS SubClass", "Neighborhood", "Pool QC"]
    assert table.features["Lot Frontage"].isna().sum() == 10 and set(table.features["Pool QC"]) == {"Gd", MISSING}


@pytest.mark.parametrize("task, target", [("classification", "good"), ("regression", "price")])
@pytest.mark.parametrize("how", [{}, {"sep": ";"}, {"sep": "\t"}, {"encoding": "utf-8-sig"}])
def test_any_csv_with_a_header_is_read(tmp_path, task, target, how):
    table = own_table.load(write(tmp_path, frame(), **how), task, target)
    assert table.numbers[:2] == ["size", "weight"] and "colour" in table.categories and len(table) == 120


def test_a_relative_path_is_found_in_the_books_folder(tmp_path, monkeypatch):
    write(tmp_path, frame())
    monkeypatch.setattr(own_table.own_files, "ROOT", tmp_path)
    assert len(own_table.load("mine.csv", "regression", "price")) == 120


def test_what_is_left_out_is_said(tmp_path):
    odd = frame(empty=np.nan, same="x", number=range(120), customer_id=[f"c{i * 7 % 120}" for i in range(120)])
    odd["again"] = odd["colour"].map({"red": "rot", "green": "grün", "blue": "blau"})
    odd.loc[0, "price"] = np.nan
    table = own_table.load(write(tmp_path, odd), "regression", "price")
    assert table.numbers + table.categories == ["size", "weight", "colour", "good"] and len(table) == 119
    for word in ("'empty'", "'same'", "'number'", "'customer_id'", "'again'", "1 rows without 'price'"):
        assert any(word in note for note in table.notes), word


def test_columns_of_measurements_are_no_repetition_of_each_other_but_copies_are(tmp_path):
    draw = np.random.default_rng(0)
    measured = pd.DataFrame({"a": draw.normal(size=100), "b": draw.normal(size=100), "y": draw.normal(size=100)})
    assert own_table.load(write(tmp_path, measured), "regression", "y").numbers == ["a", "b"]
    copied = own_table.load(write(tmp_path, measured.assign(again=measured["a"])), "regression", "y")
    assert copied.numbers == ["a", "b"] and any("'again'" in note for note in copied.notes)


def test_a_million_rows_are_sampled_and_that_is_announced(tmp_path):
    path = tmp_path / "long.csv"
    with open(path, "w") as file:
        file.write("a,b,y\n")
        for i in range(1000):
            file.write("".join(f"{(i * 1000 + j) % 997},{'uvw'[j % 3]},{(i + j) % 7}.5\n" for j in range(1000)))
    table = own_table.load(str(path), "regression", "y", most_rows=5_000)
    assert len(table) == 5_000 and table.notes[0] == "The file has 1,000,000 rows; 5,000 of them, drawn at random, are used."
    assert table.features["a"].nunique() > 900, "the rows come from the whole file"


# ---------------------------------------------------------------- what is refused, in one sentence


def refusal(data, task="classification", target="good"):
    with pytest.raises((TableError, OwnFileError)) as caught:
        own_table.load(str(data), task, target)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith((".", "?")) and len(sentence) < 400
    return sentence


def test_a_file_that_is_not_there(tmp_path):
    assert "no file or folder" in refusal("nowhere/at/all.csv")


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_an_empty_file(tmp_path, content):
    (tmp_path / "mine.csv").write_bytes(content)
    assert "'mine.csv' is empty" in refusal(tmp_path / "mine.csv")


def test_a_header_without_rows(tmp_path):
    (tmp_path / "mine.csv").write_text("size,good\n")
    assert "header, but no rows" in refusal(tmp_path / "mine.csv")


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"PK\x03\x04\x00\x00\xff\xfe")
    assert "not text in UTF-8" in refusal(tmp_path / "mine.csv")


def test_a_file_without_header(tmp_path):
    write(tmp_path, frame()[["size", "weight", "price"]], header=False)
    assert "has no header" in refusal(tmp_path / "mine.csv")


def test_a_line_with_too_many_cells(tmp_path):
    path = Path(write(tmp_path, frame()))
    lines = path.read_text().splitlines()
    lines[9] += ",1,2"
    path.write_text("\n".join(lines))
    assert "cannot be read at line 10" in refusal(path)


def test_two_columns_of_one_name(tmp_path):
    twice = frame()
    twice.columns = ["size", "size", "colour", "price", "good"]
    assert "'size' stands twice" in refusal(write(tmp_path, twice))


def test_a_target_that_is_not_there_and_one_that_is_not_given(tmp_path):
    path = write(tmp_path, frame())
    assert "no column 'god' to predict; did you mean 'good'?" in refusal(path, target="god")
    assert "-p classification_target=NAME" in refusal(path, target="") and "colour" in refusal(path, target="")


def test_one_class(tmp_path):
    assert "one value 'yes' in every row" in refusal(write(tmp_path, frame(good="yes")))


def test_a_class_too_rare_for_every_fold(tmp_path):
    rare = frame()
    rare.loc[:2, "good"] = "perhaps"
    assert "'perhaps' of 'good' has 3 rows" in refusal(write(tmp_path, rare))


def test_a_number_to_be_classified_and_a_text_to_be_regressed(tmp_path):
    path = write(tmp_path, frame())
    assert "is it a regression?" in refusal(path, target="price")
    assert "'colour' holds text such as" in refusal(path, "regression", "colour")


def test_a_numeric_column_with_some_text(tmp_path):
    mixed = frame()
    mixed["weight"] = mixed["weight"].astype(object)
    mixed.loc[[4, 9], "weight"] = "heavy"
    assert "'weight' holds numbers, but text in 2 of 120 rows, such as 'heavy' in row 5" in refusal(write(tmp_path, mixed))


def test_an_infinite_number(tmp_path):
    endless = frame()
    endless.loc[3, "weight"] = np.inf
    assert "'weight'" in refusal(write(tmp_path, endless))


def test_free_text(tmp_path):
    remarks = frame(remark=[f"came on day {i} by post" for i in range(120)])
    assert "'remark' is neither numbers nor categories" in refusal(write(tmp_path, remarks))


def test_too_few_rows(tmp_path):
    assert "There are 20 rows" in refusal(write(tmp_path, frame(20)))


def test_only_a_target(tmp_path):
    assert "No column besides the target" in refusal(write(tmp_path, frame()[["good"]]))


def test_a_folder_with_two_tables(tmp_path):
    write(tmp_path, frame(), "a.csv"), write(tmp_path, frame(), "b.csv")
    assert "should hold one CSV file, and there are 2 (a.csv, b.csv)" in refusal(tmp_path)


def test_a_table_for_the_other_task(tmp_path):
    assert "for regression, not for classification" in refusal("embedded/diamonds")
    assert "is for classification" in refusal(write_adult(tmp_path), "regression", "")


def test_adult_test_alone_and_adult_with_a_third_label(tmp_path):
    write_adult(tmp_path)
    assert "give adult.data" in refusal(tmp_path / "adult.test")
    data = tmp_path / "adult.data"
    first, rest = data.read_text().split("\n", 1)
    data.write_text(first + "\n" + rest.replace(">50K", ">90K", 1))
    assert "'income' of adult.data holds '>90K'" in refusal(tmp_path)


# ---------------------------------------------------------------- what is kept of a run, and the page that shows it


def test_a_record_holds_results_and_nothing_of_the_table_or_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(own_records, "ROOT", tmp_path)
    table = own_table.load(write_adult(tmp_path), "classification")
    line = pd.DataFrame({"accuracy": [0.7, 0.72], "AUC": [0.8, 0.8]})
    net = pd.DataFrame({"accuracy": [0.75, 0.77], "AUC": [0.9, 0.9]})
    scores = {"a line": line, "TabNet": net}
    more = {"splits": 2, "published": {"TabNet": 0.8454}, "source": "a book"}
    name = own_table.keep_results("trial", str(tmp_path), table, scores, {"a line": 0.1, "TabNet": 2.0}, **more)
    folder = tmp_path / "data" / "results" / "own-data"
    text = (folder / name).read_text(encoding="utf-8")
    assert name == "trial-adult.json" and str(tmp_path.parent) not in text and "Married" not in text
    page = pages.own_data(folder)
    assert "## On a reader's own data" in page and "CC BY 4.0" in page and "120 rows set aside" in page
    assert page.index("TabNet") < page.index("a line") and "0.7600 ± 0.0141" in page and "0.8454" in page
    assert page.index(">accuracy<") < page.index(">AUC<"), "the chief measure stands first"
    with pytest.raises(ValueError, match="letters, digits"):
        own_table.keep_results("../up", "x", table, scores, {}, **more)


def test_without_a_record_the_page_says_nothing(tmp_path):
    assert pages.own_data(tmp_path) == ""


# ---------------------------------------------------------------- the published files, where they are


def published(name):
    folder = os.environ.get("BOOK_REAL_DATA")
    if not folder:
        pytest.skip(f"BOOK_REAL_DATA names no folder, so the published {name} files are not read")
    return str(Path(folder) / name)


def test_the_published_adult_files():
    table = own_table.load(published("adult"), "classification")
    assert (len(table), len(table.test[0])) == (32_561, 16_281)
    assert table.test[1].eq(">50K").mean() == pytest.approx(0.2362, abs=1e-4)
    assert len(table.numbers) == 6 and len(table.categories) == 7


def test_the_published_ames_file():
    table = own_table.load(published("ames"), "regression")
    assert len(table) == 2_930 and not any(c.endswith(own_table.MARK) for c in table.categories)
    assert len([c for c in table.features if not c.endswith(own_table.MARK)]) == 79
    assert not {"Order", "PID", "Unnamed: 0"} & set(table.features) and "MS SubClass" in table.categories
