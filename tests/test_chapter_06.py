"""Chapter 6: typical mistakes get a sentence that helps, own long texts are read, and every task takes a model of the Hub."""

import os
import shutil
from functools import partial

import pytest
import torch

from tests import notebooks
from tests.test_hub import snapshot_of
from utils import ROOT, assets, exercises, own_files, own_texts

NOTEBOOK = ROOT / "chapters" / "06_language_tasks.ipynb"
definitions = partial(notebooks.definitions, NOTEBOOK, "loaded = ", "WAYS = ")


def padding_counted(vectors, mask):
    return (vectors * mask[..., None]).sum(1) / vectors.shape[1]


def not_a_number(vectors, mask):
    return (vectors * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def without_the_crossing(probabilities, p):
    order = probabilities.argsort(descending=True)
    return set(order[probabilities[order].cumsum(0) <= p].tolist())


def last_one_lost(tags):
    found, start = set(), None
    for place, tag in enumerate(tags):
        if start is not None and tag[:1] != "I":
            found.add((start, place, tags[start][2:]))
            start = None
        if tag[:1] == "B":
            start = place
    return found


def bag_of_words(candidate, reference):
    hits = sum(min(candidate.count(w), reference.count(w)) for w in set(candidate))
    return 2 * hits / (len(candidate) + len(reference))


def by_first_place(rankings):
    names = {name for ranking in rankings for name in ranking}
    return sorted(names, key=lambda n: -sum(1 / (r.index(n) + 1) for r in rankings if n in r))


MISTAKES = [
    ("6.1", lambda vectors, mask: vectors.mean(1), "padding is averaged in"),
    ("6.1", padding_counted, "the division counts it"),
    ("6.1", not_a_number, "gives NaN"),
    ("6.2", without_the_crossing, "the token that crosses p is missing"),
    ("6.3", last_one_lost, "at the end of the sentence is missing"),
    ("6.4", bag_of_words, "in any order"),
    ("6.5", by_first_place, "not 1/rank"),
    ("6.6", lambda weight, A, B, alpha: weight + alpha * A @ B, "divided by the rank"),
    ("6.6", lambda weight, A, B, alpha: weight.add_(A @ B), "has been changed"),
]


@pytest.mark.parametrize("id, answer, sentence", MISTAKES)
def test_a_typical_mistake_is_named(id, answer, sentence):
    assert sentence in exercises.grade(id, answer)


@pytest.fixture(scope="module")
def defined():
    """What the chapter's cells define (functions and classes, nothing is computed), with its imports and parameters."""
    space = {"__name__": "__main__"}
    exec(definitions(), space)
    return space


def test_the_best_span_is_the_best_of_all_pairs(defined):
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        begin, end = torch.randn(2, 9, generator=generator)
        pairs = [(first, last) for first in range(9) for last in range(first, min(9, first + 4))]
        assert defined["best_span"](begin, end, 4) == max(pairs, key=lambda p: (begin[p[0]] + end[p[1]]).item())


def test_bm25_likes_rare_words_and_discounts_length(defined):
    find = defined["BM25"](["the cat", "the dog", "the cat and " + "the " * 30])
    assert find("cat").argmax() == 0 and find("dog").argmax() == 1 and (find("horse") == 0).all()
    assert find("dog")[1] > find("the")[1] > 0


def test_rounding_to_steps_keeps_the_largest_weight_and_errs_by_half_a_step(defined):
    weight = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    errors = {}
    for group in ("all", "row", "32 weights"):
        rounded = defined["quantised"](weight, 8, group)
        assert rounded.shape == weight.shape and torch.isclose(rounded.abs().max(), weight.abs().max())
        errors[group] = (rounded - weight).abs().mean().item()
    assert errors["32 weights"] < errors["row"] < errors["all"] < weight.abs().max().item() / 127


def test_entities_of_tags_agree_with_the_books_own(defined):
    from utils.embedded import people

    draw = torch.Generator().manual_seed(0)
    for _ in range(100):
        tags = torch.randint(7, (8,), generator=draw).tolist()
        assert defined["entities"]([people.TAGS[t] for t in tags]) == people.spans(tags)


def test_an_adapter_begins_as_nothing_and_can_be_merged(defined):
    from transformers.pytorch_utils import Conv1D

    layer = defined["LoRA"](Conv1D(6, 4), r=2)
    x = torch.randn(3, 4)
    assert torch.equal(layer(x), layer.layer(x))
    torch.nn.init.normal_(layer.B)
    assert torch.allclose(layer.merged()(x), layer(x), atol=1e-5) and not torch.allclose(layer(x), layer.layer(x))
    assert {n for n, p in layer.named_parameters() if p.requires_grad} == {"A", "B"}


def reviews(folder, texts=12, classes=("neg", "pos")):
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(texts):
            (folder / name / f"cv{i:03}.txt").write_text(f"{name} film number {i} " * 40, encoding="utf-8")
    return str(folder)


def test_long_texts_come_with_the_names_of_their_folders(tmp_path):
    found = own_texts.folders(reviews(tmp_path / "reviews"))
    assert found.classes == ["neg", "pos"] and len(found.texts) == 24
    assert all(text.startswith(found.classes[label]) for text, label in found.texts)
    assert len(own_texts.folders(str(tmp_path / "reviews"), most=7).texts) == 7


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda path: None, "There is no folder"),
        (lambda path: path.write_text("a film"), "is a file"),
        (lambda path: reviews(path, classes=("pos",)), "has 1 sub-folders"),
        (lambda path: reviews(path, texts=3), "The class 'neg' has 3 texts; at least 10"),
        (lambda path: (reviews(path), (path / "pos" / "x.txt").write_bytes(b"a\0b")), "x.txt is no text file"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path, make, sentence):
    make(tmp_path / "mine")
    with pytest.raises(own_files.OwnFileError, match=sentence):
        own_texts.folders(str(tmp_path / "mine"))


def test_texts_in_an_older_encoding_are_read(tmp_path):
    folder = reviews(tmp_path / "reviews")
    (tmp_path / "reviews" / "pos" / "old.txt").write_bytes("ein schöner Film".encode("latin-1"))
    assert any(text == "ein schöner Film" for text, _ in own_texts.folders(folder).texts)


def test_the_published_reviews_are_read(tmp_path):
    """Film reviews of Pang and Lee (2004), where BOOK_REAL_DATA names a folder that has them unpacked or as published."""
    folder = os.environ.get("BOOK_REAL_DATA")
    archive = os.path.join(folder or "", "movie_reviews", "review_polarity.tar.gz")
    if not folder or not os.path.exists(archive):
        pytest.skip("BOOK_REAL_DATA names no folder with movie_reviews, so the published reviews are not read")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    found = own_texts.folders(str(tmp_path / "txt_sentoken"))
    assert found.classes == ["neg", "pos"] and len(found.texts) == 2000
    assert sum(label for _, label in found.texts) == 1000


def test_the_chapter_learns_from_own_long_texts(tmp_path, defined, monkeypatch):
    monkeypatch.setitem(defined, "pool_steps", 30)
    scores = defined["own_long"](reviews(tmp_path / "reviews"), 24)
    assert set(scores.index) == {"commonest class", *defined["WAYS"]}
    assert scores["attention"] == 1.0 and scores["commonest class"] <= 0.8


TINY = """
from datasets import Dataset
from tests.test_chapter_06 import definitions
space = {"__name__": "__main__"}
exec(definitions(), space)
print(tuple(space["pooled"](space["states"](["river bank", "bank"], "xlm-roberta-base")).shape))
space["writer"] = "gpt2"
tok, gpt = space["load_writer"]()
print(gpt.generate(**tok("river", return_tensors="pt"), max_new_tokens=3, min_new_tokens=3, do_sample=False).shape[1])
for name in ("t5-small", "facebook/bart-base"):
    print(*(len(space["rewritten"](name, ["river bank"], new=4, trained=trained)) for trained in (True, False)))
rows = Dataset.from_list([{"text": "river bank", "starts": [0, 6]}])
print(len(space["tag_with"]("acme/tagger", rows)[0]))
"""


def test_every_task_takes_a_model_of_the_hub(tmp_path, warm):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        BertConfig,
        BertForTokenClassification,
        BertModel,
        GPT2Config,
        GPT2LMHeadModel,
        PreTrainedTokenizerFast,
        T5Config,
        T5ForConditionalGeneration,
    )  # fmt: skip

    words = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "</s>", "river", "bank"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]", eos_token="</s>", bos_token="</s>")
    bert = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=4, num_attention_heads=2, intermediate_size=8, max_position_embeddings=300
    )
    ends = {"eos_token_id": 4, "pad_token_id": 0, "decoder_start_token_id": 0}
    small = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tiny = {
        "xlm-roberta-base": BertModel(bert),
        "acme/tagger": BertForTokenClassification(bert),
        "gpt2": GPT2LMHeadModel(GPT2Config(vocab_size=7, n_embd=8, n_layer=1, n_head=2, n_positions=64, bos_token_id=4, eos_token_id=4)),
        "t5-small": T5ForConditionalGeneration(T5Config(vocab_size=7, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, **ends)),
        "facebook/bart-base": BartForConditionalGeneration(
            BartConfig(
                vocab_size=7, **small, encoder_ffn_dim=8, decoder_ffn_dim=8, max_position_embeddings=300, **ends, forced_eos_token_id=4
            )
        ),
    }
    for name, model in tiny.items():
        snapshot = snapshot_of(name, tmp_path)
        model.save_pretrained(snapshot)
        tokenizer.save_pretrained(snapshot)
    done = warm.run(TINY, tmp_path)
    assert done.stdout.splitlines()[-5:] == ["(2, 8)", "4", "1 1", "1 1", "2"], done.stderr[-2000:]


@pytest.mark.parametrize(
    "name, sentence", [("embedded/docs-sumary", "Did you mean 'embedded/docs-summary'"), ("./mine", "There is no folder")]
)
def test_a_name_that_means_no_model_gets_a_sentence(defined, name, sentence):
    for use in ("rewritten", "tag_with"):
        with pytest.raises(assets.AssetError, match=sentence):
            defined[use](name, ["river bank"])


def test_a_word_gets_the_class_of_its_pieces_and_a_name_begins_once(defined):
    from utils.embedded import people

    found = defined["tag_with"]("embedded/people-ner", rows := people.load("de")["test"].select(range(40)))
    assert [len(tags) for tags in found] == [len(row["tokens"]) for row in rows]
    assert any(tag.startswith("I-") for tags in found for tag in tags)
    for tags in found:
        assert all(before[2:] == tag[2:] for before, tag in zip(["O", *tags], tags, strict=False) if tag.startswith("I-"))
