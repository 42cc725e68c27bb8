"""A question and its table as TAPAS sees them: tokens with seven kinds of position. For chapter 11 and its recipe.

Chapter 11 builds `encode` step by step and compares it with TapasTokenizer, which is many times slower but also
reads dates and units. A test keeps the two the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import torch
from transformers import TapasTokenizer

from utils.embedded.table_questions import AGGREGATIONS, Question, Statement, Table, answer

KINDS_OF_POSITION = ("segment", "column", "row", "previous answer", "rank", "rank from the top", "numeric relation")
NUMBER_WORDS = {
    word: float(n)
    for words in (
        "zero one two three four five six seven eight nine ten eleven twelve",
        "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth",
    )
    for n, word in enumerate(words.split())
}
_NUMBERS = r"\d+(?:\.\d+)?|\b(?:" + "|".join(NUMBER_WORDS) + r")\b"


@lru_cache(maxsize=100_000)  # cells and headers come again
def word_pieces(tokenizer: TapasTokenizer, text: str) -> tuple[int, ...]:
    """The ids of a text; an empty cell becomes one [EMPTY]."""
    return tuple(tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)))


def number(text: str) -> float | None:
    """The cell's value where it is a plain number."""
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def numbers_in(text: str) -> list[float]:
    """The numbers that a question speaks of, in figures or as a word up to twelve."""
    return [float(n) if n[0].isdigit() else NUMBER_WORDS[n] for n in re.findall(_NUMBERS, text.lower())]


def ranks(values: Sequence[float | None]) -> tuple[list[int], list[int]]:
    """Rank of every number from below and from above, equal numbers sharing one; 0 for a cell that is none."""
    order = sorted({v for v in values if v is not None})
    low = [order.index(v) + 1 if v is not None else 0 for v in values]
    return low, [len(order) - rank + 1 if rank else 0 for rank in low]


def relation(values: Sequence[float | None], asked: Sequence[float]) -> list[int]:
    """How each number stands to those in the question: 1 equal, 2 larger than one of them, 4 smaller; sums for several."""
    return [0 if v is None else sum({1 if v == a else 2 if v > a else 4 for a in asked}) for v in values]


def encode(tokenizer: TapasTokenizer, text: str, table: Table, previous=()) -> tuple[list[int], list[list[int]]]:
    """[CLS] question [SEP] header row row …: ids (tokens), and the seven kinds of position of each, (tokens, 7).

    previous: cells (row, column) that answered the question before.
    """
    ids = [tokenizer.cls_token_id, *word_pieces(tokenizer, text), tokenizer.sep_token_id]
    positions = [[0] * 7 for _ in ids]
    asked = numbers_in(text)
    columns = [[number(cell) for cell in table.column(c)] for c in range(len(table.header))]
    ordered = [(*ranks(values), relation(values, asked)) for values in columns]
    for row, cells in enumerate([table.header, *table.rows]):
        for column, cell in enumerate(cells):
            pieces = word_pieces(tokenizer, cell)
            order = [kind[row - 1] for kind in ordered[column]] if row else [0, 0, 0]
            marked = int((row - 1, column) in previous)
            ids += pieces
            positions += [[1, column + 1, row, marked, *order]] * len(pieces)
    return ids, positions


def pad(encoded: Sequence[tuple[list[int], list[list[int]]]]) -> dict[str, torch.Tensor]:
    """Results of `encode` as one batch: input_ids and attention_mask (batch, tokens), token_type_ids (batch, tokens, 7)."""
    longest = max(len(ids) for ids, _ in encoded)
    inputs = torch.zeros(len(encoded), longest, dtype=torch.long)
    mask, positions = torch.zeros_like(inputs), torch.zeros(len(encoded), longest, 7, dtype=torch.long)
    for i, (ids, kinds) in enumerate(encoded):
        inputs[i, : len(ids)], positions[i, : len(ids)], mask[i, : len(ids)] = torch.tensor(ids), torch.tensor(kinds), 1
    return {"input_ids": inputs, "attention_mask": mask, "token_type_ids": positions}


def batch(tokenizer: TapasTokenizer, questions: Sequence[Question]) -> dict[str, torch.Tensor]:
    """What TapasForQuestionAnswering takes: `pad`, and labels (batch, tokens), 1.0 on the tokens of the answering
    cells, and aggregation_labels (batch,)."""
    encoded = [encode(tokenizer, q.text, q.table, q.previous) for q in questions]
    inputs = pad(encoded)
    labels = torch.zeros(inputs["input_ids"].shape)
    for i, (ids, kinds) in enumerate(encoded):
        chosen = {(r + 1, c + 1) for r, c in questions[i].cells}
        labels[i, : len(ids)] = torch.tensor([float((k[2], k[1]) in chosen) for k in kinds])
    return inputs | {"labels": labels, "aggregation_labels": torch.tensor([q.aggregation for q in questions])}


def fact_batch(tokenizer: TapasTokenizer, statements: Sequence[Statement]) -> dict[str, torch.Tensor]:
    """What TapasForSequenceClassification takes: `pad`, and labels (batch,), 1 for a statement that the table entails."""
    inputs = pad([encode(tokenizer, s.text, s.table) for s in statements])
    return inputs | {"labels": torch.tensor([int(s.true) for s in statements])}


@torch.inference_mode()
def predict(model, tokenizer: TapasTokenizer, questions: Sequence[Question], size: int = 64) -> list[tuple[tuple, int]]:
    """For every question the cells and the aggregation that the model chooses."""
    model.eval()
    found = []
    for start in range(0, len(questions), size):
        inputs = pad([encode(tokenizer, q.text, q.table, q.previous) for q in questions[start : start + size]])
        inputs = {k: v.to(model.device) for k, v in inputs.items()}
        out = model(**inputs)
        inputs = {k: v.cpu() for k, v in inputs.items()}
        cells, aggregations = tokenizer.convert_logits_to_predictions(inputs, out.logits.cpu(), out.logits_aggregation.cpu())
        found += [(tuple(c), a) for c, a in zip(cells, aggregations, strict=True)]
    return found


def correct(question: Question, cells, aggregation: int) -> bool:
    """Whether cells and aggregation give the answer; without calculation it has to be the very cells."""
    if question.aggregation == AGGREGATIONS.index("NONE") or aggregation == AGGREGATIONS.index("NONE"):
        return aggregation == question.aggregation and tuple(sorted(cells)) == question.cells
    return answer(question.table, cells, aggregation) == question.answer
