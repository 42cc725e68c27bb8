"""embedded/texts: questions, intents, reviews and dialogues written by hand for this book. Imported by chapters and recipes.

Origin: written for this book, sentence by sentence; licence CC BY 4.0. The files are `data/texts/*.jsonl`, one JSON
object a line, and their card is `data/texts/README.md`. Nothing here depends on a seed or a version, except that a
question whose passage is not in the running Python's reference is left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from utils import ROOT
from utils.embedded import reference

if TYPE_CHECKING:
    from datasets import DatasetDict

NAMES = ("questions", "intents", "reviews", "dialogues")
INTENTS = ("departure_time", "platform", "delay", "buy_ticket", "refund", "seat", "price", "connection", "lost_property",
           "bicycle", "assistance", "on_board", "out_of_scope")  # fmt: skip
CHECKS = ("exact", "contains", "starts_with", "lines", "at_most_words")


def load(name: str, folder: Path | None = None) -> DatasetDict:
    """One of the four data sets as a `datasets.DatasetDict`.

    questions: validation and test, 70 each, with the columns of SQuAD 2.0 (Rajpurkar et al., 2018): id, title,
        context, question, answers ({"text": [...], "answer_start": [...]}, empty lists where the reference has no
        answer), and besides `passages` (ids of all passages of `reference.passages` that hold the answer) and `wording`:
        "shared" with the passage, "different" from it, or "none" where there is no answer.
    intents: train 325, validation 70, test 145; text, label (a ClassLabel of twelve intents of a train traveller and
        "out_of_scope"), family (five utterances of one situation or style; no family is in two splits).
    reviews: train 174, validation 36, test 90; text, label (a ClassLabel, 0 negative and 1 positive), aspect (what
        makes it hard: "plain", "negation", "contrast", "irony"), item (what is reviewed; no item is in two splits).
    dialogues: train 140, validation 20, test 40; id, instruction, response, check and expected (see `follows`),
        family (the kind of instruction; no family is in two splits).

    folder: another place for the files. Raises ValueError for an unknown name or a broken line.
    """
    from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

    rows = read(name, folder)
    string = Value("string")
    features = {
        "questions": lambda: {"id": string, "title": string, "context": string, "question": string,
                              "answers": {"text": List(string), "answer_start": List(Value("int32"))},
                              "passages": List(string), "wording": string},
        "intents": lambda: {"text": string, "label": ClassLabel(names=list(INTENTS)), "family": string},
        "reviews": lambda: {"text": string, "label": ClassLabel(names=["negative", "positive"]), "aspect": string, "item": string},
        "dialogues": lambda: dict.fromkeys(("id", "instruction", "response", "check", "expected", "family"), string),
    }[name]()  # fmt: skip
    if name == "questions":
        rows = _with_passages(rows)
    splits = [split for split in ("train", "validation", "test") if any(row["split"] == split for row in rows)]
    tables = {split: [{column: row[column] for column in features} for row in rows if row["split"] == split] for split in splits}
    return DatasetDict({split: Dataset.from_list(table, features=Features(features)) for split, table in tables.items()})


def read(name: str, folder: Path | None = None) -> list[dict]:
    """The lines of a file as they are written, with their `split`; a question has its `evidence` instead of passages."""
    if name not in NAMES:
        raise ValueError(f"There are no texts called {name!r}. Choose one of {', '.join(NAMES)}.")
    path = (folder or ROOT / "data" / "texts") / f"{name}.jsonl"
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing from {path.parent.name}. It is part of the repository: get it with git checkout.")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"Line {number} of {path.name} is not a JSON object ({error}). Mend it or get the file again.") from None
    return rows


def follows(response: str, check: str, expected: str) -> bool:
    """Whether a response does what the instruction asked for, by the rule of the data set.

    exact: equal to `expected`, apart from white space around it and a full stop at the end; contains, starts_with:
    has the whole words of `expected` somewhere, or at the beginning; lines: has that many lines, none of them empty;
    at_most_words: has that many words or fewer, and at least one. Raises ValueError for another check.
    """
    text = response.strip()
    if check == "exact":
        return text.removesuffix(".") == expected.strip().removesuffix(".")
    if check == "contains":
        return reference.locate(expected, text) is not None
    if check == "starts_with":
        return (reference.locate(expected, text) or (-1,))[0] == 0
    if check == "lines":
        lines = text.split("\n")
        return len(lines) == int(expected) and all(line.strip() for line in lines)
    if check == "at_most_words":
        return 1 <= len(text.split()) <= int(expected)
    raise ValueError(f"There is no check called {check!r}. Choose one of {', '.join(CHECKS)}.")


def _with_passages(rows: list[dict]) -> list[dict]:
    """The questions with title, context, answers and passages; without those whose evidence this Python's reference lacks."""
    passages = reference.passages()
    found = []
    for row in rows:
        gold = [p for evidence in row["evidence"] for p in reference.holding(evidence, passages)]
        if row["evidence"] and not gold:
            continue
        answers = {"text": [], "answer_start": []}
        for answer in row["answers"]:
            if place := _place(answer, row["evidence"], gold[0].text):
                answers["text"].append(gold[0].text[slice(*place)])
                answers["answer_start"].append(place[0])
        first = gold[0] if gold else None
        found.append({**row, "title": first.title if first else "", "context": first.text if first else "", "answers": answers,
                      "passages": list(dict.fromkeys(p.id for p in gold))})  # fmt: skip
    return found


def _place(answer: str, evidence: list[str], text: str) -> tuple[int, int] | None:
    """Where an answer stands in a passage: inside the evidence, since a short answer may stand elsewhere as well."""
    for sentence in evidence:
        if within := reference.locate(sentence, text):
            if place := reference.locate(answer, text[slice(*within)]):
                return within[0] + place[0], within[0] + place[1]
    return None
