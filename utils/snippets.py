"""Python functions as embedded/code-gpt2 reads and writes them, and what counts as a good one. For chapter 5 and the recipe."""

from __future__ import annotations

import ast
import random
import re
import warnings
from collections.abc import Sequence

from utils.embedded import reference


def normal(source: str) -> str:
    """The same program in one style: no comments, one kind of quotation mark, one tab for each level of indentation.

    A model has to learn what a program does, not how its author breaks lines. SyntaxError where it is no Python.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes of old modules, only inside this block
        text = ast.unparse(ast.parse(source))
    return re.sub(r"^(?: {4})+", lambda spaces: "\t" * (len(spaces[0]) // 4), text, flags=re.MULTILINE)


def spaced(text: str) -> str:
    """For readers: four spaces for each tab at the beginning of a line."""
    return re.sub(r"^\t+", lambda tabs: "    " * len(tabs[0]), text, flags=re.MULTILINE)


def parses(text: str) -> bool:
    """Whether it is Python, whatever it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a model writes has invalid escapes, too
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def functions(split: str) -> list[str]:
    """The standard library's functions of one split in normal form, none twice, in a fixed order; see `reference.functions`."""
    return list(dict.fromkeys(normal(f.bare) for f in reference.functions(fewest=2) if f.split == split))


def headed(split: str, count: int | None = None) -> list[str]:
    """Functions of a split that begin with `def …:` in one line, without decorator; `count` of them, always the same."""
    found = [text for text in functions(split) if re.match(r"def .*\):$", text.partition("\n")[0])]
    return found if count is None else random.Random(0).sample(found, count)


def cut(tokenizer, text: str, longest: int) -> tuple[str, bool]:
    """A whole function as `complete` would give it back: cut to `longest` tokens with the end token before it, and whether it ended."""
    ids = tokenizer(text, verbose=False)["input_ids"]
    return tokenizer.decode(ids[: longest - 1]), len(ids) + 2 <= longest


def complete(
    model, tokenizer, heads: Sequence[str], temperature: float, longest: int, top_p: float = 0.95, seed: int = 0
) -> list[tuple[str, bool]]:
    """Continue each first line: the function, and whether it ended by itself within `longest` tokens, the first line and
    both end tokens included.

    Sampled from the tokens that make up `top_p` of the probability at a temperature, with the seed given.
    """
    import torch

    end = tokenizer.eos_token_id
    encoded = [[end, *tokenizer(head)["input_ids"]] for head in heads]
    alike: dict[int, list[int]] = {}
    for number, ids in enumerate(encoded):
        alike.setdefault(len(ids), []).append(number)  # first lines of one length make a batch without padding
    found = [(head, False) for head in heads]
    options = {"temperature": temperature, "top_p": top_p, "top_k": 0, "pad_token_id": end, "eos_token_id": end}
    model.eval()
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        for length, numbers in sorted(alike.items()):
            if length >= longest:
                continue
            ids = torch.tensor([encoded[n] for n in numbers], device=model.device)
            written = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, max_length=longest, **options)
            for number, row in zip(numbers, written[:, 1:].tolist(), strict=True):
                ended = end in row
                found[number] = tokenizer.decode(row[: row.index(end)] if ended else row), ended
    return found


def shares(written: Sequence[tuple[str, bool]], known: set[str]) -> dict[str, float]:
    """How good functions are: the share that parses (one that did not end does not), and what could make it cheap.

    Of those that parse: the share with a body of one line, of bodies that stand in `known` word for word, of bodies that
    are unlike all others, and the mean number of lines of a body.
    """
    good = [text for text, ended in written if ended and parses(text)]
    bodies = [body(text) for text in good]
    count = max(1, len(bodies))
    return {
        "parse": round(len(good) / len(written), 3),
        "ended": round(sum(ended for _, ended in written) / len(written), 3),
        "one line": round(sum("\n" not in b for b in bodies) / count, 3),
        "copied": round(sum(b in known for b in bodies) / count, 3),
        "distinct": round(len(set(bodies)) / count, 3),
        "lines": round(sum(b.count("\n") + 1 for b in bodies) / count, 2),
    }


def body(text: str) -> str:
    """What follows the first line."""
    return text.partition("\n")[2]
