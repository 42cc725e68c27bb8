"""Chapter 4: typical mistakes get a sentence that helps; other checkpoints and a reader's own texts go through its code."""

import csv
import itertools

import nbformat
import pytest
import torch

from tests.test_hub import snapshot_of
from utils import ROOT, exercises

NOTEBOOK = ROOT / "chapters" / "04_transfer_learning.ipynb"


def last_slice(layers, trained):
    layers.requires_grad_(False)
    for layer in layers[-trained:]:
        layer.requires_grad_(True)
    return sum(p.numel() for p in layers.parameters() if p.requires_grad)


def tensors_counted(layers, trained):
    for number, layer in enumerate(layers):
        layer.requires_grad_(number >= len(layers) - trained)
    return sum(p.requires_grad for p in layers.parameters())


def first_layers(layers, trained):
    for number, layer in enumerate(layers):
        layer.requires_grad_(number < trained)
    return sum(p.numel() for p in layers.parameters() if p.requires_grad)


def one_class_only(texts, labels):
    words = [set(t.lower().replace(",", " ").replace(":", " ").split()) for t in texts]
    right = {w: sum((w in s) == (y == 1) for s, y in zip(words, labels, strict=True)) / len(texts) for w in sorted(set().union(*words))}
    word = max(right, key=right.get)
    return word, 1, right[word]


def other_order_for_each_size(labels, size, seed):
    torch.manual_seed(1000 * seed + size)
    return torch.cat([torch.where(labels == c)[0][torch.randperm((labels == c).sum())][:size] for c in labels.unique()])


def counted_once(true, predicted, classes):
    matrix = torch.zeros(classes, classes, dtype=torch.long)
    matrix[true, predicted] += 1
    return matrix


MISTAKES = [
    ("4.1", last_slice, "`layers[-0:]` is the whole list"),
    ("4.1", tensors_counted, "count numbers, not tensors"),
    ("4.1", first_layers, "the first layers are trained"),
    ("4.2", lambda vectors, names: (vectors @ names.T).argmax(-1), "the longest class vector wins"),
    ("4.2", lambda vectors, names: torch.cdist(vectors, names).argmin(-1), "nearest by distance"),
    ("4.3", one_class_only, "of class 0"),
    ("4.4", other_order_for_each_size, "should be among those for size 7"),
    ("4.5", counted_once, "count once"),
    ("4.5", lambda t, p, c: (p * c + t).bincount(minlength=c * c).reshape(c, c), "rows and columns are swapped"),
    ("4.6", lambda logits, labels: torch.nn.functional.cross_entropy(logits, labels, reduction="none").argsort(), "lowest loss first"),
    ("4.6", lambda logits, labels: logits.gather(1, labels[:, None])[:, 0].argsort(stable=True), "it gives"),
]


@pytest.mark.parametrize("id, answer, sentence", MISTAKES)
def test_a_typical_mistake_is_named(id, answer, sentence):
    assert sentence in exercises.grade(id, answer)


def run(warm, home, headings: tuple[str, ...], tail: str, **parameters):
    """Runs the chapter's cells from the start to the first heading (and from the second on to the third, if given), then `tail`."""
    cells, on, waiting = [], True, list(headings)
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if cell.cell_type == "markdown" and waiting and cell.source.startswith(waiting[0]):
            on, waiting = not on, waiting[1:]
        tags = cell.metadata.get("tags", [])
        if on and cell.cell_type == "code" and not {"nbval-check-output", "exercise"} & set(tags) and "show.figure(" not in cell.source:
            cells.append(cell.source)
            cells += [f"{k} = {v!r}" for k, v in parameters.items()] if "parameters" in tags else []
    assert not waiting, f"there is no heading {waiting}"
    return warm.run("\n".join([*cells, tail]), home)


SHORT = {"per_class": [1, 2, 3], "request_sizes": [1, 2, 3], "draws": 1, "tested": 6, "scratch_steps": 2, "max_length": 8}


def tiny(kind: str, folder):
    """A model of two layers, saved as the Hub's client would have stored it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "file", *("".join(w) for w in itertools.product("abcd", repeat=3))]
    plain = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    size = {"vocab_size": len(words), "max_position_embeddings": 64}
    if kind == "bert-base-uncased":
        config = BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, **size)
        BertModel(config).save_pretrained(folder)
    else:
        DistilBertModel(DistilBertConfig(dim=8, n_layers=2, n_heads=2, hidden_dim=8, **size)).save_pretrained(folder)


@pytest.mark.parametrize("name", ["bert-base-uncased", "distilbert-base-uncased"])
def test_a_checkpoint_of_the_hub_goes_through_the_grid(name, tmp_path, warm):
    tiny(name, snapshot_of(name, tmp_path))
    tail = "print('reached', depth, start, len(grid.method.unique()), round(float(np.abs(kept - frozen_below).max()), 3))"
    done = run(warm, tmp_path, ("### What the rule gets right",), tail, checkpoint=name, **SHORT)
    assert "reached 2 1 6 0.0" in done.stdout, done.stderr[-2000:]


def test_a_checkpoint_that_is_not_there_is_refused_in_a_sentence(tmp_path, warm):
    done = run(warm, tmp_path, ("### The lower layers",), "", checkpoint="bert-base-uncased", **SHORT)
    assert "AssetError: 'bert-base-uncased' is on the Hugging Face Hub, and this target uses no network" in done.stderr


def own_file(tmp_path, bad=False):
    path = tmp_path / "mine.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = [(f"aaa {'bbb' if n % 3 else 'ccc'} {n}", ("one", "two", "three")[n % 3]) for n in range(60)]
        csv.writer(file).writerows([("text", "class" if bad else "label"), *rows])
    return str(path)


def test_a_readers_own_texts_are_compared_in_all_five_ways(tmp_path, warm):
    name = "bert-base-uncased"
    tiny(name, snapshot_of(name, tmp_path))
    headings = ("Now the grid", "## 4.6 Your own texts", "## Quiz")
    tail = "print('reached', mine.name, mine.classes, mine.sizes, own_scores.method.nunique(), own_scores.accuracy.between(0, 1).all())"
    done = run(warm, tmp_path, headings, tail, checkpoint=name, text_file=own_file(tmp_path), **SHORT)
    assert "reached mine ['one', 'three', 'two'] [3, 14] 6 True" in done.stdout, done.stderr[-2000:]


def test_a_file_without_labels_is_refused_in_a_sentence(tmp_path, warm):
    name = "bert-base-uncased"
    tiny(name, snapshot_of(name, tmp_path))
    headings = ("Now the grid", "## 4.6 Your own texts", "## Quiz")
    done = run(warm, tmp_path, headings, "", checkpoint=name, text_file=own_file(tmp_path, bad=True), **SHORT)
    assert "OwnFileError: mine.csv has no column 'label': it has 'text', 'class'; the header has to name text and label." in done.stderr
