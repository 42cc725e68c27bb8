"""What was reached on a reader's own data is kept for the results page, best first, and nothing else is."""

import json

import pytest

from utils import own_records
from utils.book import pages

MODELS = {"counts": {"bits": [2.5], "seconds": 0}, "poet": {"bits": [2.0], "seconds": 12}}


def test_the_best_model_stands_first_also_when_less_is_better(tmp_path, monkeypatch):
    monkeypatch.setattr(own_records, "ROOT", tmp_path)
    for lower, first in ((True, "poet"), (False, "counts")):
        name = own_records.keep("trial", "my plays", about="plays", command="book run 3", models=MODELS, lower_is_better=lower)
        record = json.loads((tmp_path / "data" / "results" / "own-data" / name).read_text(encoding="utf-8"))
        assert name == "trial-my-plays.json" and next(iter(record["models"])) == first
        assert record["measure"] == "bits" and record["versions"]["torch"]


def test_the_page_shows_the_record_with_and_without_published_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(own_records, "ROOT", tmp_path)
    folder = tmp_path / "data" / "results" / "own-data"
    own_records.keep("trial", "plays", about="5 plays", command="book run 3", models=MODELS, lower_is_better=True)
    assert "5 plays" in (page := pages.own_data(folder)) and "Published:" not in page
    own_records.keep("trial", "plays", about="5 plays", command="book run 3", models=MODELS, published={"poet": 1.5}, source="Ng <1999>")
    assert "Published: Ng &lt;1999&gt;" in (page := pages.own_data(folder)) and "1.5000" in page


def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(own_records, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="letters, digits"):
        own_records.keep("../up", "plays", about="", command="", models=MODELS)
    assert own_records.keep("trial", "../../up", about="", command="", models=MODELS) == "trial--up.json"
