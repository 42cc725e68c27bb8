"""Functions in one style, cut and counted alike whether a model or a person wrote them."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from utils import snippets

SOURCE = """def area(width,
         height=2):
    # in metres
    if width > 0:
        return "about %s" % (width *
                             height)
"""
NORMAL = "def area(width, height=2):\n\tif width > 0:\n\t\treturn 'about %s' % (width * height)"


def test_normal_form_has_one_style_and_the_same_meaning():
    assert snippets.normal(SOURCE) == NORMAL
    assert snippets.normal(snippets.spaced(NORMAL)) == NORMAL == snippets.normal(NORMAL)
    assert snippets.spaced(NORMAL).splitlines()[2].startswith(" " * 8 + "return")
    with pytest.raises(SyntaxError):
        snippets.normal("def area(width:")


@pytest.mark.parametrize("text", ["def f(:", "def f():", "def f():\n\treturn (1", "def f():\nreturn 1", "a\0b"])
def test_what_is_no_python_does_not_parse(text):
    assert not snippets.parses(text)


def test_the_splits_share_no_function_and_first_lines_are_whole():
    train, test = snippets.functions("train"), snippets.functions("test")
    assert len(train) > 7000 and len(test) > 700
    assert len(set(train) & set(test)) < 0.02 * len(test)
    some = snippets.headed("test", 50)
    assert some == snippets.headed("test", 50) and all(snippets.parses(text) for text in some)
    assert all(snippets.parses(text.partition("\n")[0] + "\n\tpass") for text in some)


def test_shares_count_what_ended_and_parses_and_what_makes_it_cheap():
    written = [
        (NORMAL, True),
        (NORMAL, False),  # was cut, though it happens to parse
        ("def a():\n\treturn 1", True),
        ("def b():\n\treturn 1", True),
        ("def c(:\n\treturn 1", True),
    ]
    found = snippets.shares(written, known={"\treturn 1"})
    assert found == {"parse": 0.6, "ended": 0.8, "one line": 0.667, "copied": 0.667, "distinct": 0.667, "lines": 1.33}
    assert snippets.shares([("def", False)], set())["parse"] == 0


def test_a_function_is_completed_within_its_length_and_the_seed_decides():
    """With a model that has learnt nothing: it ends by chance."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {"<|end|>": 0} | {sign: n for n, sign in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), 1)}
    plain = Tokenizer(models.BPE(vocabulary, []))
    plain.pre_tokenizer, plain.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<|end|>")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(vocabulary), n_positions=64, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    heads = ["def f():", "def a_longer_one(x):"] * 20
    first, again, other = (snippets.complete(model, tokenizer, heads, 1.0, longest=40, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert all(text.startswith(head) for (text, _), head in zip(first, heads, strict=True))
    assert any(ended for _, ended in first) and not all(ended for _, ended in first)
    assert all(len(text) < 40 for text, _ in first)
    assert snippets.cut(tokenizer, NORMAL, 40) == (NORMAL[:39], False)
    assert snippets.cut(tokenizer, NORMAL, 500) == (NORMAL, True)
