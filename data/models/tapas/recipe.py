"""Train embedded/tapas, a small TAPAS on questions over tables of people. Run: python data/models/tapas/recipe.py

The metric is the share of right answers on tables of people it never saw, in wordings it has seen; the control is the
same model untrained. data/models/README.md explains the arguments.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import TapasConfig, TapasForQuestionAnswering, TapasTokenizer

from utils import assets, tapas
from utils.book import recipes
from utils.embedded import table_questions as tq

SHORT = {"steps": 100, "last": 0, "at_least": 0.008}  # a minute only begins with "who …?"
HARD = ("most", "least", "more", "fewer", "most", "least", "more", "fewer", "of them most", "of them least")
VOCABULARY, WIDTH, LAYERS, HEADS, BATCH = 8000, 128, 4, 4, 32


def vocabulary(folder: Path) -> list[int]:
    """Write vocab.txt: MiniLM's special tokens, letters and signs, and its most frequent pieces. Returns the rows kept."""
    pieces = (Path(assets.model("embedded/minilm-l6")) / "vocab.txt").read_text(encoding="utf-8").splitlines()
    special = [i for i, p in enumerate(pieces) if p in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    short = [i for i, p in enumerate(pieces) if len(p.removeprefix("##")) == 1 and p.isascii()]
    frequent = [i for i, p in enumerate(pieces) if p.isascii() and not p.startswith("[") and i not in short]
    kept = special + sorted((short + frequent)[: VOCABULARY - 1 - len(special)])
    (folder / "vocab.txt").write_text("\n".join([*(pieces[i] for i in kept), "[EMPTY]"]) + "\n", encoding="utf-8", newline="\n")
    return kept


def start(kept: list[int]) -> TapasForQuestionAnswering:
    """A model at random but for its word embeddings: MiniLM's, reduced to WIDTH by their principal components."""
    config = TapasConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=4 * WIDTH,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=WIDTH**-0.5, max_position_embeddings=64,
        type_vocab_sizes=[3, 16, 64, 2, 64, 64, 10], max_num_rows=64, max_num_columns=16, reset_position_index_per_cell=True,
        num_aggregation_labels=len(tq.AGGREGATIONS), use_answer_as_supervision=False, select_one_column=True,
        average_logits_per_cell=True, aggregation_labels=dict(enumerate(tq.AGGREGATIONS)), pad_token_id=0,
    )  # fmt: skip
    model = TapasForQuestionAnswering(config)
    weights = load_file(Path(assets.model("embedded/minilm-l6")) / "model.safetensors")
    words = next(v for k, v in weights.items() if k.endswith("word_embeddings.weight"))[kept].float()
    words = words - words.mean(0)
    reduced = words @ torch.linalg.svd(words, full_matrices=False)[2][:WIDTH].T
    with torch.no_grad():
        model.tapas.embeddings.word_embeddings.weight[: len(kept)] = reduced / reduced.std() * WIDTH**-0.5
        look_for_the_same(model)
    return model


def look_for_the_same(model: TapasForQuestionAnswering) -> None:
    """Start where a token attends to tokens like itself: to the same word, and to its own row and column.

    Finding the row of a name is the hard part; from plain random weights 800 steps did not find it even in tables of
    two or three rows (.07 of the lookups), from here 400 do (.98). Eight embeddings are added up, so the word is made to
    count for more than each of the seven positions; and keys begin equal to queries, so that likeness attracts.
    """
    embeddings = model.tapas.embeddings
    embeddings.word_embeddings.weight.mul_(2)
    embeddings.position_embeddings.weight.mul_(0.5)
    for kind in (0, 1, 3, 4, 5, 6):  # all but the row
        getattr(embeddings, f"token_type_embeddings_{kind}").weight.mul_(0.5)
    for layer in model.tapas.encoder.layer:
        layer.attention.self.key.weight.copy_(layer.attention.self.query.weight)


def stream(seed: int, progress):
    """Training questions without end: first only "what is whose", then all kinds, in tables that grow with `progress()`.

    progress() runs from 0 to 1, and stays above 1 in the last stage, where nearly half of the questions are of the HARD
    kinds. The first stage matters: mixed with all other kinds from the start, lookups are not learnt.
    """
    stages = {"first": ("lookup", "who"), "all": (*tq.KINDS, *tq.SINGLE, *tq.SEVERAL), "talk": tq.FOLLOWING, "last": HARD}
    sources = {
        (stage, size): tq.questions(100 * seed + size, rows=(2, 3 + size), columns=(2, min(5, 3 + size)), kinds=kinds)
        for stage, kinds in stages.items() for size in range(6)
    }  # fmt: skip
    rng = random.Random(seed)
    while True:
        done = progress()
        size = min(5, int(rng.uniform(0.5, 1.3) * 12 * done))
        if done < 0.08:
            stage = "first"
        else:
            stage = rng.choices(("all", "talk", "last"), (0.85, 0.15, 0.0) if done < 1 else (0.4, 0.15, 0.45))[0]
        yield next(sources[stage, size])


def shares(model, tokenizer, questions) -> dict[str, float]:
    """Share of right answers by kind, and over the single-cell and the calculated questions."""
    right = defaultdict(list)
    for question, (cells, aggregation) in zip(questions, tapas.predict(model, tokenizer, questions), strict=True):
        good = tapas.correct(question, cells, aggregation)
        right[question.kind].append(good)
        for name, kinds in {
            "single cell": tq.SINGLE,
            "several cells": tq.SEVERAL,
            "calculated": tq.CALCULATED,
            "all": tq.KINDS + tq.FOLLOWING,
        }.items():
            if question.kind in kinds:
                right[name].append(good)
    return {k: round(sum(v) / len(v), 3) for k, v in sorted(right.items())}


def train(args, folder: Path) -> None:
    """`steps` updates on questions that get harder, then `last` on mostly hard ones, at half the rate."""
    if args.only_last:
        model = TapasForQuestionAnswering.from_pretrained(args.only_last).float()
        tokenizer = TapasTokenizer.from_pretrained(args.only_last)
    else:
        model = start(vocabulary(folder))
        tokenizer = TapasTokenizer(str(folder / "vocab.txt"), model_max_length=512)
    validation = list(itertools.islice(tq.questions(1, "validation", kinds=tq.KINDS + tq.FOLLOWING, per_table=2), 600))
    print(f"{model.num_parameters():,} parameters; kinds in validation: {Counter(q.kind for q in validation)}", flush=True)

    def run(steps: int, rate: float, progress, seed: int) -> None:
        """progress(step): see `stream`."""
        now = 0
        source = stream(seed, lambda: progress(now))

        def loss(step: int) -> torch.Tensor:
            nonlocal now
            now = step
            return model(**tapas.batch(tokenizer, list(itertools.islice(source, BATCH)))).loss

        told = lambda: shares(model, tokenizer, validation)  # noqa: E731
        recipes.fit(model, loss, steps, recipes.optimisers(model, rate), every=400, told=told)

    if not args.only_last:
        run(args.steps, args.rate, lambda step: step / (args.steps + 1), args.seed)
    if args.last:
        run(args.last, args.rate / 2, lambda step: 1.0, args.seed + 50)
    recipes.save(model, tokenizer, folder)


def evaluate(folder: Path) -> dict:
    """2,000 questions of each sort; further shares: by kind, in other wordings, about what was said before, about goods."""
    model = TapasForQuestionAnswering.from_pretrained(folder, dtype=torch.float32)  # as shipped, in half precision
    tokenizer = TapasTokenizer.from_pretrained(folder)
    tests = {
        "seen wordings": tq.questions(2, "test", kinds=tq.KINDS, per_table=2),
        "unseen wordings": tq.questions(2, "test", kinds=tq.KINDS, per_table=2, unseen=True),
        "follow-ups": tq.questions(2, "test", kinds=tq.FOLLOWING, per_table=2),
        "goods, never trained on": tq.questions(2, "test", about="goods", per_table=2),
    }
    tests = {name: list(itertools.islice(source, 2000)) for name, source in tests.items()}
    found = {name: shares(model, tokenizer, questions) for name, questions in tests.items()}
    torch.manual_seed(0)
    untrained = shares(TapasForQuestionAnswering(model.config), tokenizer, tests["seen wordings"][:500])
    return {
        "metric": "right answers",
        "value": found["seen wordings"]["all"],
        "control": {"untrained": untrained["all"]},
        **found,
    }


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=9000, short=SHORT, options={"rate": 1e-3, "last": 3000, "only-last": ""})
