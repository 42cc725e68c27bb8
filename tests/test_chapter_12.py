"""Chapter 12: typical mistakes get a sentence that helps, and the chapter's code takes a reader's own tables."""

import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from tests.test_own_table import adult_lines, write_adult
from utils import ROOT, exercises

NOTEBOOK = ROOT / "chapters" / "12_tables_at_work.ipynb"


def own_labels_too(values, labels, folds):
    return np.array([labels[values == v].mean() for v in values])


def ordinary_t(differences, train_rows, test_rows):
    d = np.asarray(differences)
    return d.mean() / np.sqrt(d.var(ddof=1) / len(d))


def added_up(masks, gamma):
    return gamma - masks.sum(0)


def on_logarithms(truth, predicted):
    return 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


def in_place(predict, features, labels, generator):
    intact, falls = (predict(features) == labels).mean(), []
    for column in range(features.shape[1]):
        features[:, column] = generator.permutation(features[:, column])
        falls.append(intact - (predict(features) == labels).mean())
    return np.array(falls)


MISTAKES = [
    ("12.1", own_labels_too, "this is the leak"),
    ("12.2", ordinary_t, "ordinary t-test"),
    ("12.3", added_up, "added up"),
    ("12.3", lambda masks, gamma: (1 - masks).prod(0), "gamma does not come in"),
    ("12.4", on_logarithms, "R² of the logarithms"),
    ("12.5", in_place, "changed afterwards"),
]


@pytest.mark.parametrize("id, answer, sentence", MISTAKES)
def test_a_typical_mistake_is_named(id, answer, sentence):
    assert sentence in exercises.grade(id, answer)


def chapter(until, **parameters):
    """What the chapter's cells define up to the heading `until`, with other parameters, without claims, exercises and figures."""
    space = {"__name__": "__main__"}
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if cell.cell_type == "markdown" and cell.source.startswith(until):
            return space
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and "nbval-check-output" not in tags and "show.figure(" not in cell.source:
            exec(cell.source, space)
            space.update(parameters if "parameters" in tags else {})
    raise AssertionError(f"there is no heading {until!r}")


SHORT = {"epochs": 1, "classification_rows": 300, "regression_rows": 300, "noise_tables": 1, "throws": 5, "width": 8}


@pytest.fixture(scope="module")
def definitions():
    return chapter("### Fifteen networks", **SHORT)


def test_sparsemax_gives_weights_and_keeps_what_is_one_already(definitions):
    sparsemax = definitions["sparsemax"]
    weights = sparsemax(torch.randn(200, 7, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(weights.sum(-1), torch.ones(200), atol=1e-5) and weights.min() >= 0 and (weights == 0).any()
    assert torch.allclose(sparsemax(torch.tensor([0.2, 0.5, 0.3])), torch.tensor([0.2, 0.5, 0.3]), atol=1e-6)
    assert sparsemax(torch.tensor([9.0, 1.0, 0.0])).tolist() == [1, 0, 0]


def test_tabnet_masks_speak_of_features_and_cover_all_columns_of_a_category(definitions):
    net = definitions["TabNet"](2, [3, 4], outputs=5, size=3).eval()
    decisions, masks = net.steps(torch.randn(6, 2), torch.ones(6, 2, dtype=torch.long))
    assert net(torch.randn(6, 2), torch.ones(6, 2, dtype=torch.long)).shape == (6, 5)
    assert masks.shape == (6, 3, 4) and net.feature.tolist() == [0, 1, 2, 2, 2, 3, 3, 3]


def test_a_preparation_has_no_row_but_its_own(definitions):
    fair, rows = definitions["fair"], np.arange(50)
    prepare = definitions["Preparation"](fair, rows)
    numbers, codes = prepare(fair.features.iloc[rows])
    assert numbers.mean().abs() < 0.1 and codes.min() == 1
    strange = fair.features.iloc[:1].assign(religious="never heard of")
    assert prepare(strange)[1][0, fair.table.categories.index("religious")] == 0


def test_the_chapter_takes_a_readers_own_tables(tmp_path, monkeypatch, capsys):
    """Adult in its published format, and a regression with empty cells and a new category in a fold, in a very short training."""
    draw = np.random.default_rng(0)
    size = draw.normal(size=200)
    mine = pd.DataFrame({"size": np.where(draw.random(200) < 0.1, np.nan, size), "colour": draw.choice(["red", "blue"], 200)})
    mine.loc[7, "colour"] = "seen once"
    mine.assign(price=np.exp(5 + size).round(2)).to_csv(tmp_path / "mine.csv", index=False)
    own = {"classification_data": write_adult(tmp_path), "regression_data": str(tmp_path / "mine.csv"), "regression_target": "price"}
    found = chapter("## 12.3", **SHORT, **own)
    said = capsys.readouterr().out
    assert "adult: 300 rows" in said and "cells are empty" in said
    assert len(found["affairs"].splits) == 3 and len(found["prices"].splits) == 5
    assert all(split.test.min() >= 300 for split in found["affairs"].splits), "the published test part is tested on"
    for scores in (found["affair_scores"], found["price_scores"]):
        assert {"TabTransformer", "FT-Transformer", "TabNet", "straight line"} <= set(scores)
        assert all(np.isfinite(frame.to_numpy()).all() for frame in scores.values())


def test_the_generated_adult_is_in_the_published_format():
    first = adult_lines(1)[0]
    assert len(first.split(", ")) == 15 and re.search(r", (<=50K|>50K)$", first) and json.dumps(first)
