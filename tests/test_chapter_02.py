"""Chapter 2: typical mistakes get a sentence that helps, a reader's own text is read or refused in one, and its application answers."""

import ast
import importlib
import itertools
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from utils import ROOT, exercises, own_files

NOTEBOOK = ROOT / "chapters" / "02_hugging_face_ecosystem.ipynb"
CELLS = [cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]


def unpickle(data):
    pickle.loads(data)
    return set()


def pair_of_distinct_words(words):
    def count(piece):
        return sum(word.count(piece) for word in words)

    pairs = Counter(pair for word in words for pair in itertools.pairwise(word))
    return max(pairs, key=lambda pair: pairs[pair] / (count(pair[0]) * count(pair[1])))


def real_share(lengths, batches):
    return sum(lengths[i] for b in batches for i in b) / sum(len(b) * max(lengths[i] for i in b) for b in batches)


def mean_of_batches(lengths, batches):
    return sum(1 - real_share(lengths, [b]) for b in batches) / len(batches)


def span_of_any_length(start, end, longest):
    pairs = [(i, j) for i in range(len(start)) for j in range(i, len(end))]
    return max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])


MISTAKES = {
    "as BPE does": ("2.1", lambda words: ("u", "g"), "divide by the counts"),
    "each word once": ("2.1", pair_of_distinct_words, "scores are"),
    "longest piece": ("2.2", lambda word, log_p: [word], "most probable"),
    "share of tokens": ("2.3", real_share, "padding is the rest"),
    "mean of the batches": ("2.3", mean_of_batches, "the share is"),
    "padding averaged in": ("2.4", lambda hidden, mask: hidden.mean(1), "averaged in"),
    "divided by all": ("2.4", lambda hidden, mask: (hidden * mask[..., None]).mean(1), "real tokens"),
    "no token at all": ("2.4", lambda hidden, mask: (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), "nan"),
    "each on its own": ("2.5", lambda start, end, longest: (start.index(max(start)), end.index(max(end))), "ends before it begins"),
    "any length": ("2.5", span_of_any_length, "only two are allowed"),
    "unpickled": ("2.6", unpickle, "OrderedDict"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_typical_mistake_gets_a_sentence_that_helps(name):
    id, answer, expected = MISTAKES[name]
    assert expected in exercises.grade(id, answer)


def defined(*names, **space):
    """Functions and classes of the chapter, by name, in a space of their own."""
    for source in CELLS:
        body = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name in names]
        exec(compile(ast.Module(body, []), "chapter 2", "exec"), space)
    return space


def test_a_text_is_cut_into_a_part_to_learn_from_and_one_held_out(tmp_path):
    lines = [f"line {i} of a text that is long enough to be cut" for i in range(600)]
    (tmp_path / "mine.txt").write_text("\n\n".join(lines), encoding="utf-8")
    train, held_out = defined("own_text", Path=Path, own_files=own_files)["own_text"](str(tmp_path / "mine.txt"))
    assert train + held_out == lines and len(train) == 540


UNUSABLE = [(None, "There is no file"), (b"short", "needs at least"), (b"\xff\xfe" * 9000, "not UTF-8")]


@pytest.mark.parametrize(("content", "says"), UNUSABLE)
def test_a_text_that_cannot_be_used_is_refused_in_a_sentence(tmp_path, content, says):
    if content is not None:
        (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        defined("own_text", Path=Path, own_files=own_files)["own_text"](str(tmp_path / "mine.txt"))


def test_buckets_hold_every_row_once():
    in_buckets = defined("in_buckets", np=np)["in_buckets"]
    lengths = np.random.default_rng(0).integers(3, 60, 101)
    batches = in_buckets(lengths, 8, np.random.default_rng(1))
    assert sorted(i for batch in batches for i in batch) == list(range(101)) and max(map(len, batches)) == 8
    assert batches != in_buckets(lengths, 8, np.random.default_rng(2))


def test_pieces_of_names_are_joined_only_where_they_touch():
    def piece(index, entity):
        return {"index": index, "entity": entity, "start": 3 * index, "end": 3 * index + 2}

    pieces = [piece(1, "B-PER"), piece(2, "I-PER"), piece(3, "B-PER"), piece(5, "I-PER"), piece(6, "I-LOC")]
    assert defined("joined")["joined"](pieces) == [(3, 8, "PER"), (9, 11, "PER"), (15, 17, "PER"), (18, 20, "LOC")]


MODEL = """
def predict(text):
    if not text.strip():
        raise ValueError("Write a sentence of at most 500 characters.")
    return {"letters": float(len(text)), "spaces": float(text.count(" "))}
"""


@pytest.mark.parametrize(("file", "client"), [("server.py", "HttpClient"), ("app.py", "GradioClient")])
def test_the_application_answers_its_client_and_refuses_in_a_sentence(tmp_path, file, client):
    if file == "app.py":
        pytest.importorskip("gradio", reason='gradio is an extra: pip install ".[app]"')
    source = next(s for s in CELLS if f'"{file}").write_text(' in s)
    (tmp_path / file).write_text(re.search(r"write_text\('''(.*?)'''", source, re.DOTALL)[1], encoding="utf-8")
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "NO_PROXY": "127.0.0.1"}
    space = defined("HttpClient", "GradioClient", "until_it_answers", json=json, HTTPConnection=HTTPConnection, importlib=importlib,
                    socket=socket, time=time, port=port, home=tmp_path)  # fmt: skip
    with open(tmp_path / "server.log", "w") as log:
        process = subprocess.Popen([sys.executable, file], cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        space |= {"process": process, "client_class": space[client]}  # the space is what the functions see as global
        found = space["until_it_answers"]()
        assert found.predict("two words") == {"letters": 9.0, "spaces": 1.0}
        with pytest.raises(ValueError, match="at most 500 characters"):
            found.predict("  ")
    finally:
        process.terminate()
        process.wait(20)


def test_an_application_that_stops_says_why(tmp_path):
    (tmp_path / "server.log").write_text("ModuleNotFoundError: no model", encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    process.wait(60)
    space = defined("until_it_answers", process=process, home=tmp_path, socket=socket, time=time, port=9, client_class=None)
    with pytest.raises(RuntimeError, match="no model"):
        space["until_it_answers"]()


def test_the_exercises_accept_a_model_on_any_type_of_number():
    hidden, mask = torch.rand(2, 3, 4, dtype=torch.float64), torch.tensor([[1, 1, 0], [1, 0, 0]])
    solution = next(s for s in CELLS if "def masked_mean" in s)
    space = {"torch": torch, "check": lambda *_: None}
    exec(solution, space)
    assert torch.allclose(space["masked_mean"](hidden, mask)[1], hidden[1, 0])
