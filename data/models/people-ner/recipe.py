"""Train embedded/people-ner, a small BERT that finds persons, organisations and places in four languages.

Run: python data/models/people-ner/recipe.py. It writes tokenizer, config and half-precision weights and prints the F1 of
whole entities on sentence patterns and names it never saw, beside three controls. `--languages de` trains on German alone.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from pathlib import Path

import torch
from datasets import Dataset
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.nn.utils.rnn import pad_sequence
from transformers import ModernBertConfig, ModernBertForTokenClassification, PreTrainedTokenizerFast

from utils.book import recipes
from utils.embedded import people

SHORT = {"steps": 1000, "at_least": 0.4}
SENTENCES, VOCABULARY, LONGEST, BATCH = 20_000, 1500, 128, 16
WIDTH, LAYERS, HEADS = 128, 2, 4
DROPOUT, SPLIT, HIDE, CASE, CUT, JOIN = 0.15, 0.15, 0.1, 0.1, 0.1, 0.4  # see `examples`
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def sentences(languages: list[str]) -> list[dict]:
    """Sentences of the training patterns, written anew in greater number, with names of the training split alone."""
    return [{**row, "language": language} for language in languages for row in people.load(language, size=SENTENCES)["train"].to_list()]


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-pair encoding with case kept, words and signs apart as BERT has them, and every digit read as 0."""
    bpe = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex("[0-9]"), "0")])
    bpe.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bpe.decoder = decoders.WordPiece()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, continuing_subword_prefix="##", show_progress=False)
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_max_length=LONGEST, model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def start(vocabulary: int) -> ModernBertForTokenClassification:
    """ModernBERT at random. Its positions are relative (rotary): a word before a name is the same anywhere in a sentence."""
    config = ModernBertConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        max_position_embeddings=LONGEST, layer_types=["full_attention"] * LAYERS, initializer_range=WIDTH**-0.5,
        initializer_cutoff_factor=3.0, embedding_dropout=DROPOUT, mlp_dropout=DROPOUT, classifier_dropout=DROPOUT,
        pad_token_id=0, cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3,
        id2label=dict(enumerate(people.TAGS)), label2id={tag: at for at, tag in enumerate(people.TAGS)},
    )  # fmt: skip
    return ModernBertForTokenClassification(config)


def labels_of(row: dict, offsets: list[tuple[int, int]]) -> list[int]:
    """The label of each piece: that of the token it begins; I- for the others of the same token; -100 for special tokens."""
    tags = {}
    for begin, token, tag in zip(row["starts"], row["tokens"], row["ner_tags"], strict=True):
        inside = tag + tag % 2  # TAGS has the I- of a label behind its B-
        tags |= dict.fromkeys(range(begin, begin + len(token)), inside) | {begin: tag}
    return [tags.get(begin, -100) if begin < end else -100 for begin, end in offsets]


def joined(left: dict, right: dict, rng: random.Random) -> dict:
    """The left sentence up to a name and the right one from a name of the same kind on: known words about it in a new company.

    The left sentence as it is where they have no kind in common.
    """
    a, b = (rng.sample(sorted(people.spans(row["ner_tags"])), len(people.spans(row["ner_tags"]))) for row in (left, right))
    pairs = [(x, y) for x in a for y in b if x[2] == y[2]]
    if not pairs:
        return left
    (_, i, _), (_, j, _) = pairs[0]
    end, begin = (row["starts"][k - 1] + len(row["tokens"][k - 1]) for row, k in ((left, i), (right, j)))
    return {
        "text": left["text"][:end] + right["text"][begin:],
        "tokens": left["tokens"][:i] + right["tokens"][j:],
        "ner_tags": left["ner_tags"][:i] + right["ner_tags"][j:],
        "starts": left["starts"][:i] + [start - begin + end for start in right["starts"][j:]],
    }


def examples(rows: list[dict], tokenizer, rng: random.Random):
    """Training examples without end, no two alike, as token ids and labels.

    A sentence goes on as another one does (JOIN), is written in small letters or in capitals (CASE), its words are cut
    into other pieces (SPLIT; BPE-dropout: Provilkov et al., 2020), words that are no names are hidden (HIDE), and only a
    part of it is shown (CUT). Each happens with the probability of its constant.
    """
    tokenizer.backend_tokenizer.model.dropout = SPLIT
    same = {language: [row for row in rows if row["language"] == language] for language in {row["language"] for row in rows}}
    while True:
        for row in rng.sample(rows, len(rows)):
            if rng.random() < JOIN:
                row = joined(row, rng.choice(same[row["language"]]), rng)
            change = rng.random()
            text = row["text"].lower() if change < CASE / 2 else row["text"].upper() if change < CASE else row["text"]
            given = tokenizer.backend_tokenizer.encode(text if len(text) == len(row["text"]) else row["text"])
            ids, labels = list(given.ids), labels_of(row, given.offsets)
            hidden = {word for word in set(given.word_ids) if word is not None and rng.random() < HIDE}
            ids = [4 if word in hidden and label == 0 else i for i, word, label in zip(ids, given.word_ids, labels, strict=True)]
            if rng.random() < CUT and len(ids) > 8:
                a, b = sorted(rng.sample(range(1, len(ids)), 2))
                a = next((at for at in range(a, 0, -1) if labels[at] % 2 or not labels[at]), 1)  # no entity is cut at its start
                b = next((at for at in range(b, len(ids)) if labels[at] in (-100, 0, 1, 3, 5)), len(ids) - 1)
                ids, labels = [2, *ids[a:b], 3], [-100, *labels[a:b], -100]
            yield ids[:LONGEST], labels[:LONGEST]


def batches(source, size: int, rng: random.Random):
    """Of forty batches at a time, examples of about the same length come together."""
    while True:
        pool = sorted(itertools.islice(source, 40 * size), key=lambda example: len(example[0]))
        cut = [pool[i : i + size] for i in range(0, len(pool), size)]
        for rows in rng.sample(cut, len(cut)):
            ids = pad_sequence([torch.tensor(row[0]) for row in rows], batch_first=True, padding_value=0)
            labels = pad_sequence([torch.tensor(row[1]) for row in rows], batch_first=True, padding_value=-100)
            yield {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}


@torch.inference_mode()
def tag(model, tokenizer, data: Dataset, size: int = 128) -> list[list[int]]:
    """A tag for each token of each sentence: that of its first piece."""
    tokenizer.backend_tokenizer.model.dropout = None
    order, found = sorted(range(len(data)), key=lambda i: len(data[i]["text"])), [[]] * len(data)
    for at in range(0, len(order), size):
        rows = [data[i] for i in order[at : at + size]]
        given = tokenizer([r["text"] for r in rows], padding=True, return_tensors="pt", return_offsets_mapping=True)
        offsets = given.pop("offset_mapping").tolist()
        best = model(**given).logits.argmax(-1).tolist()
        for i, row, places, tags in zip(order[at : at + size], rows, offsets, best, strict=True):
            first = {begin: t for (begin, end), t in zip(places, tags, strict=True) if begin < end}
            found[i] = [first.get(begin, 0) for begin in row["starts"]]
    return found


def scores(model, tokenizer, data: dict[str, Dataset]) -> dict[str, float]:
    """F1 of whole entities by language."""
    return {name: round(people.f1(split["ner_tags"], tag(model, tokenizer, split)), 4) for name, split in data.items()}


def train(args, folder: Path) -> None:
    """Sentences of the training patterns, written anew in greater number; names of the training splits alone."""
    rows = sentences(args.languages.split(","))
    tokenizer, rng = build_tokenizer([row["text"] for row in rows]), random.Random(args.seed)
    model = start(len(tokenizer))
    print(f"{model.num_parameters():,} parameters, {len(rows):,} sentences in {args.languages}", flush=True)
    source = batches(examples(rows, tokenizer, rng), BATCH, rng)

    def loss(step: int) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):  # quicker where the processor has it
            return model(**next(source)).loss

    recipes.fit(model, loss, args.steps, recipes.optimisers(model, rate=4e-3, muon=2e-2))
    tokenizer.backend_tokenizer.model.dropout = None
    recipes.save(model, tokenizer, folder)


def evaluate(folder: Path) -> dict:
    """F1 in the four languages, beside a rule, a list of names and a logistic regression on each language's own sentences."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = ModernBertForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    data = {language: people.load(language) for language in people.LANGUAGES}
    found = {"this model": scores(model, tokenizer, {language: splits["test"] for language, splits in data.items()})}
    taggers = {
        "capitalised words": lambda train: people.capitalised,
        "names of training": people.gazetteer,
        "logistic regression": logistic,
    }
    for name, make in taggers.items():
        found[name] = {}
        for language, splits in data.items():
            tagger = make(splits["train"])
            found[name][language] = round(people.f1(splits["test"]["ner_tags"], [tagger(t) for t in splits["test"]["tokens"]]), 4)
    mean = {name: round(sum(by_language.values()) / len(data), 3) for name, by_language in found.items()}
    value, rival = mean.pop("this model"), mean.pop("logistic regression")  # a model too, and no lower bound: beside, not below
    metric = "F1 of entities, mean of four languages"
    return {"metric": metric, "value": value, "control": mean, "logistic regression": rival, "by_language": found}


def logistic(train: Dataset) -> Callable[[list[str]], list[int]]:
    """A tagger that decides about each token by itself: its form, its beginning and end, and its two neighbours on each side."""
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.linear_model import LogisticRegression

    hasher = FeatureHasher(2**18, input_type="string")

    def seen(tokens: list[str]) -> list[list[str]]:
        row = ["<", "<", *tokens, ">", ">"]
        form = [re.sub(r"[^\W\d_]", lambda m: "X" if m[0].isupper() else "x", re.sub(r"\d", "0", t))[:6] for t in row]
        small = [t.casefold() for t in row]
        return [
            [f"{o}:{small[i + o]}" for o in (-2, -1, 0, 1, 2)] + [f"{o} {form[i + o]}" for o in (-2, -1, 0, 1, 2)]
            + [f"<{small[i][:n]}" for n in (1, 2, 3)] + [f"{small[i][-n:]}>" for n in (1, 2, 3, 4)] + [f"{small[i - 1]} {form[i]}"]
            for i in range(2, len(row) - 2)
        ]  # fmt: skip

    x = hasher.transform(features for tokens in train["tokens"] for features in seen(tokens))
    y = [tag for tags in train["ner_tags"] for tag in tags]
    model = LogisticRegression(C=1.0, max_iter=60, tol=1e-3).fit(x, y)
    return lambda tokens: model.predict(hasher.transform(seen(tokens))).tolist()


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=5000, short=SHORT, options={"languages": ",".join(people.LANGUAGES)})
