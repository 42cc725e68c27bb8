"""Judges and hints of chapter 6."""

from utils.exercises import exercise

NOTHING = "the function returns nothing yet; end it with a `return`."


@exercise(
    "6.1",
    hints=(
        "Two sums and a division: what is added up, and by how many is it divided?",
        "Give the mask a last dimension, `mask[..., None]`, and multiply; padding then adds nothing. Divide by the number of real chunks.",
        "`(vectors * m).sum(1) / m.sum(1).clamp(min=1)` with `m = mask[..., None].float()`.",
    ),
)
def judge_mean_of_real(mean_of_real):
    import torch

    vectors = torch.tensor([[[2.0, 0.0], [4.0, 2.0], [9.0, 9.0]], [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    answer = mean_of_real(vectors, mask)
    if answer is None:
        return NOTHING
    if not isinstance(answer, torch.Tensor) or answer.shape != (2, 2):
        return f"two documents of width 2 give the shape (2, 2), not {tuple(getattr(answer, 'shape', ()))}."
    if torch.allclose(answer, vectors.mean(1)):
        return "the padding is averaged in; leave out the chunks whose mask is false."
    if torch.allclose(answer[0], torch.tensor([2.0, 2 / 3])):
        return "the sum leaves the padding out, but the division counts it; divide by the number of real chunks."
    if not torch.allclose(answer, torch.tensor([[3.0, 1.0], [1.0, 1.0]])):
        return f"the real chunks (2, 0) and (4, 2) have the mean (3, 1), not {answer[0].tolist()}."
    none = mean_of_real(vectors[:1], torch.zeros(1, 3, dtype=torch.bool))
    if none.isnan().any():
        return "a document without a real chunk gives NaN; divide by at least one."
    if none.abs().max() > 0:
        return f"a document without a real chunk should give zeros, not {none[0].tolist()}."
    return None


@exercise(
    "6.2",
    hints=(
        "Sort the probabilities and go down; when is it enough?",
        "Stop *before* adding a token if the sum has reached p already; the token that crosses p is kept.",
        "Loop over `probabilities.argsort(descending=True).tolist()`, break when `total >= p`, else add the token and its probability.",
    ),
)
def judge_nucleus(nucleus):
    import torch

    chances = torch.tensor([0.125, 0.5, 0.25, 0.0625, 0.0625])
    answer = nucleus(chances, 0.6)
    if answer is None:
        return NOTHING
    if not isinstance(answer, set):
        return f"return a set of token ids, not {type(answer).__name__}."
    answer = {int(token) for token in answer}
    if answer == {1}:
        return "the token that crosses p is missing: .5 alone is less than .6, so token 2 is kept too."
    if answer != {1, 2}:
        return f"with .125, .5, .25, .0625, .0625 and p = .6 the tokens 1 and 2 are kept, not {sorted(answer)}."
    if (answer := nucleus(chances, 0.4)) != {1}:
        return f"for p = .4 the first token alone is enough: {{1}}, not {sorted(answer)}; never return an empty set."
    if (answer := nucleus(chances, 0.75)) != {1, 2}:
        return f".5 + .25 reaches .75 exactly, so nothing more is kept: {{1, 2}}, not {sorted(answer)}."
    return None


@exercise(
    "6.3",
    hints=(
        "Walk along the tags and remember where the open entity began, if there is one.",
        "An entity ends at the first tag that is not `I-` of its own kind. Put an `O` behind the list, so that the last one ends too.",
        "At each tag: if one is open and the tag is not `I-` of its kind, store and close it; if none is open and it is not `O`, open one.",
    ),
)
def judge_entities_of(entities_of):
    answer = entities_of(["B-PER", "I-PER", "O", "B-LOC"])
    if answer is None:
        return NOTHING
    right = {(0, 2, "PER"), (3, 4, "LOC")}
    if set(answer) == {(0, 2, "PER")}:
        return "the entity at the end of the sentence is missing; nothing follows that could close it."
    if set(answer) == {(0, 1, "PER"), (3, 3, "LOC")}:
        return "the second number is the word *after* the last one, as in a Python slice."
    if set(answer) != right:
        return f"the example should give {right}, not {answer!r}."
    if set(answer := entities_of(["B-PER", "B-PER", "O"])) != {(0, 1, "PER"), (1, 2, "PER")}:
        return f"a `B-` begins a new entity even right behind another: {{(0, 1, 'PER'), (1, 2, 'PER')}}, not {answer!r}."
    if set(answer := entities_of(["B-PER", "I-LOC", "O"])) != {(0, 1, "PER"), (1, 2, "LOC")}:
        return f"an `I-LOC` behind a person begins a place: {{(0, 1, 'PER'), (1, 2, 'LOC')}}, not {answer!r}."
    if set(entities_of(["O", "O"])):
        return "a sentence without names has no entities."
    return None


@exercise(
    "6.4",
    hints=(
        "The longest common subsequence has a table: one row for each word of one list, one column for each word of the other.",
        "Equal words: one more than the cell up and to the left. Otherwise the larger one of the cell above and the cell to the left.",
        "With the length `n` of the subsequence return `2 * n / (len(candidate) + len(reference))`, and 0.0 if n is 0.",
    ),
)
def judge_rouge_of(rouge_of):
    candidate, reference = "the cat is on the mat".split(), "on the mat sat the cat".split()
    answer = rouge_of(candidate, reference)
    if answer is None:
        return NOTHING
    if abs(answer - 5 / 6) < 1e-9:
        return "this counts shared words in any order; a subsequence keeps the order, and only 'on the mat' is common."
    if abs(answer - 0.5) > 1e-9:
        return f"'on the mat' is the longest common subsequence of two texts of six words: F1 is 6/12 = .5, not {answer:.3f}."
    if abs((answer := rouge_of("a x b y c".split(), "a b c".split())) - 0.75) > 1e-9:
        if abs(answer - 0.25) < 1e-9:
            return "gaps are allowed: 'a … b … c' is common to 'a x b y c' and 'a b c'. You looked for a common *piece*."
        return f"for 'a x b y c' and 'a b c' three words are common: 6/8 = .75, not {answer:.3f}; a precision or recall alone is not F1."
    try:
        nothing = rouge_of(["a"], ["b"])
    except ZeroDivisionError:
        return "two texts with nothing in common should give 0, and it divides by zero."
    return None if nothing == 0 else f"two texts with nothing in common give 0, not {nothing}."


@exercise(
    "6.5",
    hints=(
        "Only places count, not scores: walk over each ranking with `enumerate`, beginning at 1.",
        "Keep a dictionary from name to score and add 1/(60 + rank); a name that is missing in a ranking gets nothing from it.",
        "`scores[name] = scores.get(name, 0) + 1 / (60 + rank)`, then `sorted(scores, key=lambda name: -scores[name])`.",
    ),
)
def judge_fuse(fuse):
    answer = fuse([["a", "b", "c"], ["b", "d", "a"]])
    if answer is None:
        return NOTHING
    if list(answer) == ["c", "d", "a", "b"]:
        return "the order is upside down: the highest score comes first."
    if set(answer) != set("abcd"):
        return f"all four names have to come back, also those that only one ranking has; got {list(answer)}."
    if list(answer) != ["b", "a", "d", "c"]:
        return f"b is 2nd and 1st, a 1st and 3rd, d 2nd once, c 3rd once: ['b', 'a', 'd', 'c'], not {list(answer)}."
    if list(fuse([["w", "x", "y"], ["v", "u", "y"]]))[0] != "y":
        return "one first place does not outweigh two good ones: use 1/(60 + rank), not 1/rank."
    return None


@exercise(
    "6.6",
    hints=(
        "x·W + s·(x·A)·B is x·(…): what stands in the brackets?",
        "The scale is alpha divided by the rank r, and r is a side of A.",
        "`weight + alpha / A.shape[1] * (A @ B)`, which makes a new tensor.",
    ),
)
def judge_merge(merge):
    import torch

    generator = torch.Generator().manual_seed(0)
    weight, A, B, x = (torch.randn(shape, generator=generator) for shape in ((5, 4), (5, 2), (2, 4), (3, 5)))
    kept = weight.clone()
    answer = merge(weight, A, B, 6.0)
    if answer is None:
        return NOTHING
    if not torch.equal(weight, kept):
        return "`weight` has been changed; make a new tensor instead of `+=`."
    if not isinstance(answer, torch.Tensor) or answer.shape != (5, 4):
        return f"the merged weight has the shape (5, 4) of the old one, not {tuple(getattr(answer, 'shape', ()))}."
    if torch.allclose(answer, weight + A @ B, atol=1e-5):
        return "the scale alpha / r is missing."
    if torch.allclose(answer, weight + 6 * A @ B, atol=1e-5):
        return "alpha is divided by the rank r, which is 2 here: the number of columns of A."
    if not torch.allclose(x @ answer, x @ weight + 3 * (x @ A) @ B, atol=1e-4):
        return "the merged layer gives something else than layer and adapter together: it should be weight + alpha / r · A·B."
    return None
