"""Train embedded/tapas-facts, which judges statements about tables. Run: python data/models/tapas-facts/recipe.py

Starts from embedded/tapas (its encoder; the heads are new), writes weights beside itself and prints the share of
statements about unseen tables that it judges rightly, by kind, and with every column of the tables shuffled.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import random
import time
from collections import defaultdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import TapasForSequenceClassification, TapasTokenizer, get_cosine_schedule_with_warmup, logging

from utils import assets, tapas
from utils.embedded import table_questions as tq

HERE = Path(__file__).resolve().parent


@torch.inference_mode()
def evaluate(model, tokenizer, statements) -> dict[str, float]:
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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=4000)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--rate", type=float, default=5e-4)
    options.add_argument("--start", default="embedded/tapas")
    options.add_argument("--out", type=Path, default=HERE, help="where to write; the default replaces the shipped model")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    logging.set_verbosity_error()  # the heads are new, as they should be

    folder = assets.model(args.start)
    tokenizer = TapasTokenizer.from_pretrained(folder)
    model = TapasForSequenceClassification.from_pretrained(folder, dtype=torch.float32, num_labels=2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = get_cosine_schedule_with_warmup(optimiser, 100, args.steps)
    validation = list(itertools.islice(tq.statements(1, "validation"), 500))
    small, large = tq.statements(args.seed, rows=(2, 3), columns=(2, 3)), tq.statements(args.seed)
    rng, started, cpu, losses = random.Random(args.seed), time.perf_counter(), time.process_time(), []
    for step in range(1, args.steps + 1):
        model.train()
        ease = max(0.0, 1 - 3 * step / args.steps)  # mostly small tables at first
        loss = model(**tapas.fact_batch(tokenizer, [next(small if rng.random() < ease else large) for _ in range(args.batch)])).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step(), schedule.step()
        losses.append(loss.item())
        if step % 200 == 0 or step == args.steps:
            mean, losses = sum(losses) / len(losses), []
            print(f"{step:6} {time.perf_counter() - started:6.0f} s  loss {mean:.3f}  {evaluate(model, tokenizer, validation)}", flush=True)

    model.config.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    weights = {k: v.half().contiguous() for k, v in model.state_dict().items() if "position_ids" not in k}
    save_file(weights, args.out / "model.safetensors", metadata={"format": "pt"})
    model = TapasForSequenceClassification.from_pretrained(args.out).float()  # as shipped, in half precision
    test, unseen = (list(itertools.islice(tq.statements(2, "test", unseen=u), 2000)) for u in (False, True))
    print("unseen tables", evaluate(model, tokenizer, test))
    print("unseen tables and wordings", evaluate(model, tokenizer, unseen))
    print("columns shuffled", evaluate(model, tokenizer, [shuffled(s, rng) for s in test]))
    print(
        f"{args.steps} steps, {time.process_time() - cpu:.0f} CPU-seconds, {time.perf_counter() - started:.0f} s, {args.threads} thread(s)"
    )


if __name__ == "__main__":
    main()
