"""Chapter 5: typical mistakes get a sentence that helps; published checkpoints are asked by their ids; the box holds."""

import ast
import json
import os
import subprocess
import sys
import tempfile

import nbformat
import numpy as np
import pytest
import torch
from test_hub import snapshot_of

from utils import ROOT, exercises

NOTEBOOK = ROOT / "chapters" / "05_bert_gpt_bart.ipynb"
CHECKPOINTS = {"BERT": "bert-base-uncased", "GPT": "gpt2", "BART": "facebook/bart-base", "T5": "t5-small"}

MISTAKES = {
    "everything masked": ("5.1", lambda ids, chosen, dice, words, mask: (ids.masked_fill(chosen, mask), ids), "dice of .1"),
    "labels of all": (
        "5.1",
        lambda ids, c, d, w, m: (torch.where(c & (d >= 0.8) & (d < 0.9), w, ids.masked_fill(c & (d < 0.8), m)), ids),
        "labels",
    ),
    "in place": ("5.1", lambda ids, c, d, w, m: (ids.masked_fill_(c & (d < 0.8), m), ids), "changes `ids`"),
    "names left": ("5.2", lambda inputs, targets: inputs, "still in the text"),
    "pooler counted": ("5.3", lambda w, n, i, v, p, s=2: 109_482_240, "pooler"),
    "one norm": ("5.3", lambda w, n, i, v, p, s=2: 108_891_648 - 12 * 2 * 768, "two norms"),
    "ordinary paper": ("5.4", lambda x, y: np.polyfit(x, y, 1)[0], "ordinary paper"),
    "factor forgotten": ("5.5", lambda c: (torch.tensor([0.75, 0.25, 0.0]) * c.mean(0)).sum(), "factor E"),
    "probabilities twice": ("5.5", lambda c: 3 * (c.mean(0) ** 2).sum(), "twice"),
    "no gradient": ("5.5", lambda c: 3 * (torch.tensor([0.75, 0.25, 0.0]) * c.mean(0)).sum().detach(), "gradient"),
    "no end": ("5.6", lambda texts, length, end: [[1, 2, 3], [4, 5, 6]], "end tokens"),
    "short window kept": ("5.6", lambda t, n, e: [sum(([*x, e] for x in t), [])[i : i + n] for i in range(0, 9, n)], "dropped"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_typical_mistake_gets_a_sentence_that_helps(name):
    id, answer, expected = MISTAKES[name]
    assert expected in exercises.grade(id, answer)


def definitions(*names: str) -> str:
    """The source of the chapter's own functions and constants with these names, in order."""
    found = []
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if cell.cell_type == "code":
            for node in ast.parse(cell.source).body:
                target = getattr(node, "name", None) or (node.targets[0].id if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) else None)
                if target in names:
                    found.append(ast.unparse(node))
    return "\n".join(found)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A HF_HOME with a tiny model under each of the four published names."""
    import transformers as t
    from tokenizers import Tokenizer, models, pre_tokenizers

    home = tmp_path_factory.mktemp("hub")
    words = ["[PAD]", "[UNK]", "[MASK]", "</s>", "<extra_id_0>", "Return", "the", "of", "array", "."]
    plain = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = t.PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]", eos_token="</s>", extra_special_tokens=["<extra_id_0>"]
    )
    size = {"vocab_size": len(words), "pad_token_id": 0, "eos_token_id": 3, "bos_token_id": 3}
    bert = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    bart = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    made = {
        "BERT": t.BertForMaskedLM(t.BertConfig(**size, **bert)),
        "GPT": t.GPT2LMHeadModel(t.GPT2Config(**size, n_embd=8, n_layer=1, n_head=2, n_positions=64)),
        "BART": t.BartForConditionalGeneration(t.BartConfig(**size, **bart, encoder_ffn_dim=8, decoder_ffn_dim=8, decoder_start_token_id=3)),
        "T5": t.T5ForConditionalGeneration(t.T5Config(**size, d_model=8, d_kv=4, num_heads=2, num_layers=1, d_ff=8, decoder_start_token_id=0)),
    }
    for name, model in made.items():
        folder = snapshot_of(CHECKPOINTS[name], home)
        model.save_pretrained(folder), tokenizer.save_pretrained(folder)
    return home


PRELUDE = (
    "import torch, transformers\nfrom pathlib import Path\nfrom types import SimpleNamespace\nfrom utils import assets\n"
    "ch = SimpleNamespace(device=torch.device('cpu'))\n"
)


def test_four_checkpoints_of_the_hub_answer_by_their_ids(hub, warm):
    code = PRELUDE + definitions("HEADS", "load", "answer")
    code += f"\nfor name, id in {CHECKPOINTS!r}.items():\n    print(name, *answer(name, *load(name, id), 'Return the ', ' of the array .'), sep='|')\n"
    done = warm.run(code, hub)
    rows = [line.split("|") for line in done.stdout.strip().splitlines()]
    asked = {row[0]: row[1] for row in rows}
    assert asked == {
        "BERT": "Return the [MASK] of the array .",
        "GPT": "Return the",
        "BART": "Return the [MASK] of the array .",
        "T5": "Return the <extra_id_0> of the array .",
    }, done.stderr[-2000:]


def test_a_checkpoint_of_the_wrong_kind_is_refused_in_a_sentence(hub, warm):
    done = warm.run(PRELUDE + definitions("HEADS", "load") + "\nload('BERT', 'gpt2')", hub)
    assert "ValueError: 'gpt2' is a gpt2 model, which cannot take the part of BERT; name another checkpoint." in done.stderr


@pytest.fixture(scope="module")
def in_box():
    space = {"tempfile": tempfile, "os": os, "sys": sys, "subprocess": subprocess, "json": json}
    exec(definitions("GUARD", "in_box"), space)
    return space["in_box"]


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("def f(a):\n    return a + 1", "returned"),
        ("def f(a):\n    return missing", "defined, then NameError"),
        ("@missing\ndef f():\n    pass", "not defined: NameError"),
        ("def f():\n    open('x', 'w')", "defined, then PermissionError"),
        ("def f():\n    import socket", "PermissionError|ImportError|ModuleNotFoundError"),
        ("def f():\n    while True:\n        pass", "stopped"),
        ("x = 1", "defined"),
    ],
)
def test_the_box_says_what_happened(in_box, source, outcome):
    assert any(expected in in_box(source) for expected in outcome.split("|"))
