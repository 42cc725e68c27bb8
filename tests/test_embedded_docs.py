"""embedded/docs: labelled docstrings, split by module, the same every time."""

import json

import pytest

from utils.embedded import docs


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return docs.documents(cache=tmp_path_factory.mktemp("docs"))


def test_no_module_is_in_two_splits(found):
    splits = {}
    for document in found:
        splits.setdefault(document.module, set()).add(document.split)
    assert all(len(s) == 1 for s in splits.values())


def test_every_area_is_in_every_split(found):
    for area in docs.AREAS:
        counts = [sum(d.area == area and d.split == s for d in found) for s in ("train", "validation", "test")]
        assert counts[0] > 100 and min(counts[1:]) >= 20, (area, counts)


def test_no_text_is_there_twice(found):
    texts = [d.text.lower() for d in found]
    assert len(set(texts)) == len(texts)


def test_names_that_give_the_label_away_are_masked(found):
    words = {word.lower().strip(".,()") for d in found for word in d.text.split()}
    assert not words & {"numpy", "scipy", "sklearn", "torch", "pytorch"}
    for document in found[::50]:
        own = document.name.split(".")[-1].lower()
        if len(own) > 3 and "_" not in own:
            assert own not in document.text.lower().replace("(", " ").split(), document


def test_prose_leaves_signature_sections_and_examples_out():
    doc = "add(x, y, /)\n\nAdd two :class:`~torch.Tensor` values, as add does.\n\nParameters\n----------\nx : array\n\n>>> add(1, 2)\n3"
    assert docs.prose(doc, hide=["add"]) == "_ two _ values, as _ does."


def test_a_second_call_reads_the_same_from_the_cache(found, tmp_path):
    first = docs.documents(cache=tmp_path)
    path = next(tmp_path.glob("*.json"))
    written = path.stat().st_mtime_ns
    assert docs.documents(cache=tmp_path) == first == found
    assert path.stat().st_mtime_ns == written and not list(tmp_path.glob("*.tmp"))


def test_a_cut_off_cache_is_made_again(found, tmp_path):
    docs.documents(cache=tmp_path)
    path = next(tmp_path.glob("*.json"))
    path.write_text(path.read_text(encoding="utf-8")[:1000], encoding="utf-8")
    assert docs.documents(cache=tmp_path) == found
    assert len(json.loads(path.read_text(encoding="utf-8"))) == len(found)


def test_load_gives_columns_that_a_hub_data_set_has_too(tmp_path):
    data = docs.load(words=30, cache=tmp_path)
    assert set(data) == {"train", "validation", "test"}
    assert data["train"].features["label"].names == list(docs.AREAS)
    assert all(12 <= len(text.split()) <= 30 for text in data["test"]["text"])


def test_whole_docstrings_share_the_division(found, tmp_path):
    whole = docs.documents(whole=True, cache=tmp_path)
    assert [(d.module, d.name, d.split) for d in whole] == [(d.module, d.name, d.split) for d in found]
    assert sum(len(d.text) for d in whole) > 3 * sum(len(d.text) for d in found)
