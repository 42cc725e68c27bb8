"""Judges and hints of chapter 2."""

from utils.exercises import exercise


@exercise(
    "2.1",
    hints=(
        "You need two counters: one of pieces, one of pairs of neighbours.",
        "Both have to count a word as often as it occurs: add `count`, not 1.",
        "`max(pairs, key=lambda pair: pairs[pair] / (pieces[pair[0]] * pieces[pair[1]]))`",
    ),
)
def judge_wordpiece_pair(wordpiece_pair):
    words = {("h", "u", "g"): 10, ("p", "u", "g"): 5, ("q", "u", "x"): 1, ("z", "y"): 1, ("h", "u"): 4}
    answer = wordpiece_pair(words)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if not isinstance(answer, tuple) or len(answer) != 2:
        return f"the answer has to be a pair such as ('h', 'u'), not {answer!r}."
    if answer == ("u", "g"):
        return "('u', 'g') is the most frequent pair, as BPE takes it; divide by the counts of its two parts."
    if answer != ("z", "y"):
        return f"'z' and 'y' never occur without each other, so their score is highest; the answer is ('z', 'y'), not {answer}."
    words = {("a", "b"): 2, ("a", "c"): 18, ("d", "e"): 4, ("f", "e"): 1, ("f", "g"): 1}
    if (answer := wordpiece_pair(words)) != ("f", "g"):
        scores = "2/(20·2), 18/(20·18), 4/(4·5), 1/(2·5) and 1/(2·1)"
        return f"with counts {words} the scores are {scores}: the answer is ('f', 'g'), not {answer}."
    return None


@exercise(
    "2.2",
    hints=(
        "Suppose you knew the best cut of every beginning of the word. How does the best cut of the whole word follow?",
        "Keep a list `best` with one entry for each length: the largest sum and its pieces. `best[0]` is `(0.0, [])`.",
        "For every `end`, try every `start`: `best[start]` plus `log_p[word[start:end]]`, if that piece exists.",
    ),
)
def judge_segment(segment):
    import time

    log_p = {"un": -2.0, "u": -5.0, "n": -5.0, "do": -2.5, "undo": -6.0, "d": -5.0, "o": -5.0, "ing": -2.0, "doing": -4.0}
    answer = segment("undo", log_p)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if list(answer) == ["undo"]:
        return "'undo' as one piece has −6, but 'un' and 'do' have −4.5 together; the longest piece is not always the most probable."
    if list(answer) != ["un", "do"]:
        return f"'undo' is best cut into ['un', 'do'] with −4.5, not into {answer}."
    if (answer := segment("undoing", log_p)) is None or list(answer) != ["un", "doing"]:
        return f"'undoing' is best cut into ['un', 'doing'] with −6, not into {answer}; the best piece from the left is not enough."
    if (answer := segment("undone!", log_p)) is not None:
        return f"'undone!' cannot be cut into these pieces, so the answer is None, not {answer}."
    begin = time.process_time()
    if segment("undo" * 12, log_p) != ["un", "do"] * 12:
        return "for 'undo' written twelve times the answer is ['un', 'do'] twelve times."
    if time.process_time() - begin > 2:
        return "it tries too many cuts: keep the best cut of every beginning, so that a long word takes no longer than its length squared."
    return None


@exercise(
    "2.3",
    hints=(
        "How many places does a batch have? Its number of texts times the length of its longest.",
        "Add the places of all batches first, and divide once at the end; batches are not equally large.",
        "`1 - sum(lengths[i] for batch in batches for i in batch) / places`",
    ),
)
def judge_padding_share(padding_share):
    lengths = [2, 10, 4, 4, 6]
    for batches, expected in (([[0, 1], [2, 3], [4]], 8 / 34), ([[0, 1, 2, 3, 4]], 24 / 50), ([[2, 3]], 0.0)):
        answer = padding_share(lengths, batches)
        if answer is None:
            return "the function returns nothing yet; end it with a `return`."
        if abs(answer - (1 - expected)) < 1e-9 and expected:
            return "this is the share of real tokens; padding is the rest."
        if abs(answer - expected) > 1e-9:
            return f"for lengths {lengths} and batches {batches} the share is {expected:.4f}, not {float(answer):.4f}."
    return None


@exercise(
    "2.4",
    hints=(
        "Padding must count neither in the sum nor in the number that you divide by.",
        "`mask[..., None]` has shape (sentences, tokens, 1) and multiplies `hidden`.",
        "Divide `(hidden * mask).sum(1)` by `mask.sum(1)`, and think of a sentence without any token.",
    ),
)
def judge_masked_mean(masked_mean):
    import torch

    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [50.0, 50.0]], [[5.0, 6.0], [7.0, 8.0], [9.0, 10.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    answer = masked_mean(hidden, mask)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if tuple(answer.shape) != (2, 2):
        return f"two sentences of width 2 give a shape of (2, 2), not {tuple(answer.shape)}."
    if torch.allclose(answer, hidden.mean(1)):
        return "padding is averaged in: the first sentence has two tokens, and its third vector is padding."
    if torch.allclose(answer[0], torch.tensor([4 / 3, 2.0])):
        return "the sum is right, but it is divided by all places; divide by the number of real tokens."
    if not torch.allclose(answer, torch.tensor([[2.0, 3.0], [7.0, 8.0]])):
        return f"the means are [2, 3] and [7, 8], not {answer.tolist()}."
    if masked_mean(hidden, torch.zeros(2, 3, dtype=torch.long)).isnan().any():
        return "a sentence without tokens gives nan; divide by at least one (`clamp(min=1)`)."
    return None


@exercise(
    "2.5",
    hints=(
        "The best beginning and the best end, each on its own, may be in the wrong order or too far apart.",
        "Go through all pairs `first <= last` with `last - first < longest`.",
        "`max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])`",
    ),
)
def judge_best_span(best_span):
    start, end = [0.0, 1.0, 9.0, 2.0], [0.0, 8.0, 1.0, 3.0]
    answer = best_span(start, end, 4)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if tuple(answer) == (2, 1):
        return "the span (2, 1) ends before it begins; only pairs with first ≤ last count."
    if tuple(answer) != (2, 3):
        return f"for start {start} and end {end} the best span is (2, 3) with 12, not {tuple(answer)}."
    if tuple(answer := best_span([9.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 9.0], 2)) != (3, 3):
        return f"(0, 3) has four tokens and only two are allowed; the best span is (3, 3), not {tuple(answer)}."
    if tuple(answer := best_span([5.0, 0.0], [0.0, 5.0], 2)) != (0, 1):
        return f"(0, 1) has two tokens, and two are allowed; the best span is (0, 1), not {tuple(answer)}."
    return None


@exercise(
    "2.6",
    hints=(
        "A pickle that imports something has an instruction for it; look at the names of the instructions with `pickletools.dis`.",
        "In protocol 2 the instruction is `GLOBAL`, and its argument is module and name with a space between.",
        "`{argument for opcode, argument, _ in pickletools.genops(data) if opcode.name == 'GLOBAL'}`",
    ),
)
def judge_imports_of(imports_of):
    import collections
    import os
    import pickle
    import tempfile
    from pathlib import Path

    class Call:
        def __init__(self, *made):
            self.made = made

        def __reduce__(self):
            return self.made

    plain = pickle.dumps({"weights": [1.0, 2.0]}, protocol=2)
    answer = imports_of(plain)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if set(answer):
        return f"a dictionary of numbers imports nothing; the answer is an empty set, not {answer}."
    ordered = pickle.dumps(collections.OrderedDict(a=1), protocol=2)
    if set(answer := imports_of(ordered)) != {"collections OrderedDict"}:
        return f"an OrderedDict is made by 'collections OrderedDict'; the answer is not {answer}."
    with tempfile.TemporaryDirectory() as folder:
        trap = Path(folder) / "unpickled"
        answer = imports_of(pickle.dumps([Call(os.mkdir, (str(trap),)), Call(len, ((),))], protocol=2))
        if trap.exists():
            return "the pickle was loaded, and its code has run; only look at its instructions."
    if len(answer) != 2 or not any(name.endswith(" mkdir") for name in answer) or not any(name.endswith(" len") for name in answer):
        return f"this pickle imports two names, mkdir and len; the answer is not {answer}."
    return None
