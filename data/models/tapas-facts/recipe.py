"""Train embedded/tapas-facts, which judges statements about tables. Run: python data/models/tapas-facts/recipe.py

Starts from embedded/tapas (its encoder; the heads are new). The metric is the share of statements about unseen tables
that it judges rightly; the control are tables with every column shuffled. data/models/README.md explains the arguments.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import defaultdict
from pathlib import Path

import torch
from transformers import TapasForSequenceClassification, TapasTokenizer

from utils import assets, tapas
from utils.book import recipes
from utils.embedded import table_questions as tq

BATCH = 32
SHORT = {"steps": 350, "at_least": 0.65}


@torch.inference_mode()
def shares(model, tokenizer, statements) -> dict[str, float]:
    """Share of right judgements, overall and by kind."""
    model.eval()
    right = defaultdict(list)
    for start in range(0, len(statements), 64):
        part = statements[start : start + 64]
        judged = model(**tapas.fact_batch(tokenizer, part)).logits.argmax(-1).tolist()
        for statement, label in zip(part, judged, strict=True):
            for name in ("all", statement.kind):
                right[name].append(label == statement.true)
    return {k: round(sum(v) / len(v), 3) for k, v in sorted(right.items())}


def shuffled(statement: tq.Statement, rng: random.Random) -> tq.Statement:
    """The control: the same words, other facts. Each column of the table is shuffled by itself."""
    table = statement.table
    columns = [rng.sample(table.column(c), len(table.rows)) for c in range(len(table.header))]
    return dataclasses.replace(statement, table=dataclasses.replace(table, rows=tuple(zip(*columns, strict=True))))


def train(args, folder: Path) -> None:
    """From the encoder of another model, on statements without end, about small tables first."""
    start = assets.model(args.start)
    tokenizer = TapasTokenizer.from_pretrained(start)
    model = TapasForSequenceClassification.from_pretrained(start, dtype=torch.float32, num_labels=2)
    validation = list(itertools.islice(tq.statements(1, "validation"), 500))
    small, large = tq.statements(args.seed, rows=(2, 3), columns=(2, 3)), tq.statements(args.seed)
    rng = random.Random(args.seed)

    def loss(step: int) -> torch.Tensor:
        ease = max(0.0, 1 - 3 * step / args.steps)  # the share of small tables
        statements = [next(small if rng.random() < ease else large) for _ in range(BATCH)]
        return model(**tapas.fact_batch(tokenizer, statements)).loss

    optimisers = recipes.optimisers(model, args.rate)
    recipes.fit(model, loss, args.steps, optimisers, every=200, told=lambda: shares(model, tokenizer, validation))
    recipes.save(model, tokenizer, folder)


def evaluate(folder: Path) -> dict:
    """2,000 statements about unseen tables; further shares: by kind, in wordings kept from training."""
    tokenizer = TapasTokenizer.from_pretrained(folder)
    model = TapasForSequenceClassification.from_pretrained(folder, dtype=torch.float32)  # as shipped, in half precision
    test, unseen = (list(itertools.islice(tq.statements(2, "test", unseen=u), 2000)) for u in (False, True))
    rng = random.Random(0)
    found = shares(model, tokenizer, test)
    return {
        "metric": "right judgements",
        "value": found["all"],
        "control": {"columns shuffled": shares(model, tokenizer, [shuffled(s, rng) for s in test])["all"]},
        "by kind": found,
        "wordings kept from training": shares(model, tokenizer, unseen),
    }


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=3500, short=SHORT, options={"rate": 5e-4, "start": "embedded/tapas"})
