"""embedded/summaries: docstrings in two, divided as embedded/docs is, and nothing held out among what is learnt from."""

import pytest

from utils.embedded import docs, summaries

DOC = """
Solve the equation ``a x = b`` for `x`.

The matrix is square. No check is made, and :func:`numpy.linalg.inv` is not called.

Parameters
----------
a : (M, M) array_like
    A square matrix.

Examples
--------
>>> solve(1, 2)
"""


def test_a_docstring_is_divided():
    pair = summaries.divided("scipy.linalg", "LinAlg.solve_now", DOC)
    assert pair.summary == "Solve the equation a x = b for x." and pair.sentences[0] == "The matrix is square."
    assert pair.source.startswith("lin alg solve now: The matrix is square.") and "Parameters a : (M, M) array_like" in pair.body
    assert "numpy.linalg.inv is" in pair.body and ">>>" not in pair.body and "---" not in pair.body


@pytest.mark.parametrize("doc", ["", "Too short.", "f(x) -> y", "A line (with an aside) is left out.", " ".join(["word"] * 21)])
def test_what_has_no_first_line_is_no_pair(doc):
    assert summaries.divided("module", "name", doc) is None


@pytest.mark.parametrize(
    "name, words", [("SSLSocket.recv_into", "ssl socket recv into"), ("getElementsByTagName", "get elements by tag name")]
)
def test_a_name_is_spelled(name, words):
    assert summaries.spelled(name) == words


def test_splits_are_those_of_the_documents_and_long_enough():
    modules = {split: {d.module for d in docs.documents(whole=True) if d.split == split} for split in ("train", "validation", "test")}
    for split in ("validation", "test"):
        found = summaries.pairs(split)
        assert len(found) > 300 and {p.module for p in found} <= modules[split] and all(p.sentences for p in found)
        assert 100 < len(summaries.pairs(split, fewest=3)) < len(found)
    with pytest.raises(ValueError, match="take train, validation or test"):
        summaries.pairs("tests")


def test_nothing_held_out_is_learnt_from(monkeypatch):
    # a part of the sources is enough: some are held out, one (heapq) only `more` reads
    some = ("shutil.py", "queue.py", "queues.py", "lzma.py", "extras.py", "heapq.py")
    found = [f for f in summaries._files() if f.name in some]
    monkeypatch.setattr(summaries, "_files", lambda: found)
    held = [p for split in ("validation", "test") for p in summaries.pairs(split)]
    learn = summaries.more()
    assert "heappush" in {p.name for p in learn}
    for part in (lambda p: (p.spelled, p.summary), lambda p: p.body if len(p.body.split()) > 12 else p):
        assert not set(map(part, held)) & set(map(part, learn))
