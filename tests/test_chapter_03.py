"""Chapter 3: typical mistakes get a sentence that helps, and a reader's own texts and pairs are read or refused in one."""

import ast
import gzip
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import torch

from utils import ROOT, exercises, own_files

NOTEBOOK = ROOT / "chapters" / "03_transformer_in_pytorch.ipynb"


@pytest.fixture(scope="module")
def readers():
    """The chapter's own readers of files, by name."""
    space = {"gzip": gzip, "Path": Path, "own_files": own_files}
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if cell.cell_type == "code" and any(f"def {name}(" in cell.source for name in ("read_text", "own_text", "own_pairs")):
            functions = [node for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)]
            exec(compile(ast.Module(functions, []), "chapter 3", "exec"), space)
    return space


MISTAKES = {
    "allowed instead of forbidden": ("3.1", lambda ids, pad: (torch.ones(4, 4, dtype=torch.bool).tril(), ids == pad), "wrong way round"),
    "real tokens marked": ("3.1", lambda ids, pad: (torch.ones(4, 4, dtype=torch.bool).triu(1), ids != pad), "filling"),
    "itself forbidden": ("3.1", lambda ids, pad: (torch.ones(4, 4, dtype=torch.bool).triu(), ids == pad), "look at itself"),
    "never a leak": ("3.2", lambda model, x: False, "should say True"),
    "signs that cancel": (
        "3.2",
        lambda model, x: bool((torch.autograd.functional.jacobian(model, x).sum((1, 3)).triu(1) != 0).any()),
        "opposite signs",
    ),
    "the largest number": ("3.3", lambda names: {"encoder": 11, "decoder": 1}, "begin at 0"),
    "the sum is below one": ("3.4", lambda logits, t, k: (logits / t).softmax(-1) * (logits >= logits.topk(k).values[-1]), "add up to"),
    "temperature left out": (
        "3.4",
        lambda logits, t, k: logits.masked_fill(logits < logits.topk(k).values[-1], -torch.inf).softmax(-1),
        "left out",
    ),
    "not clipped": ("3.5", lambda c, r, n: sum(w in r for w in c) / len(c), "at most as often"),
    "divided by the reference": ("3.5", lambda c, r, n: sum((Counter(c) & Counter(r)).values()) / len(r), "candidate"),
    "nothing is kept": ("3.6", lambda q, k, v, kept: (v, (k, v)), "after 2 tokens"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_typical_mistake_gets_a_sentence_that_helps(name):
    id, answer, expected = MISTAKES[name]
    assert expected in exercises.grade(id, answer)


def test_a_text_is_cut_into_three_consecutive_parts(readers, tmp_path):
    text = "To be, or not to be.\n" * 3000
    (tmp_path / "input.txt").write_text(text, encoding="utf-8")
    with gzip.open(tmp_path / "input.gz", "wt", encoding="utf-8") as file:
        file.write(text)
    for name in ("input.txt", "input.gz"):
        parts = readers["own_text"](str(tmp_path / name))
        assert "".join(parts.values()) == text and list(parts) == ["train", "validation", "test"]
        assert len(parts["train"]) == int(0.9 * len(text))


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "There is no"), (b"short", "needs at least"), (b"\xff\xfe" * 40_000, "not UTF-8"), ("folder", "is a folder")],
)
def test_a_text_that_cannot_be_used_is_refused_in_a_sentence(readers, tmp_path, content, says):
    path = tmp_path / "mine.txt"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        readers["own_text"](str(path))


def test_pairs_are_read_line_by_line_also_with_odd_line_separators(readers, tmp_path):
    for split in ("train", "val", "test_2016_flickr"):
        (tmp_path / f"{split}.en").write_text("a\u2028b\n\nc\nd\n", encoding="utf-8")
        with gzip.open(tmp_path / f"{split}.de.gz", "wt", encoding="utf-8") as file:
            file.write("A\nleer\nC\nD\n")
    splits = readers["own_pairs"](str(tmp_path))
    assert splits["test"] == [{"source": "a\u2028b", "target": "A"}, {"source": "c", "target": "C"}, {"source": "d", "target": "D"}]
    assert list(splits) == ["train", "validation", "test"] and len(splits["train"]) == 3


def test_pairs_that_do_not_pair_are_refused_in_a_sentence(readers, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file train….en"):
        readers["own_pairs"](str(tmp_path))
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.en").write_text("a\nb\n", encoding="utf-8")
        (tmp_path / f"{split}.de").write_text("A\n", encoding="utf-8")
    with pytest.raises(ValueError, match="2 and 1 lines"):
        readers["own_pairs"](str(tmp_path))
    with pytest.raises(ValueError, match="is a file"):
        readers["own_pairs"](str(tmp_path / "train.en"))
