"""Judges and hints of chapter 7."""

import itertools
import math

import numpy as np
import torch

from utils.exercises import exercise


@exercise(
    "7.1",
    hints=(
        "Undo the steps in reverse order: what was done last?",
        "Times std, plus mean, times 255. `mean` and `std` need the shape (3, 1, 1) to fit the colours.",
        "`((values * std + mean) * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()`",
    ),
)
def judge_to_picture(to_picture):
    picture = np.random.default_rng(7).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    mean, std = [0.5, 0.4, 0.3], [0.25, 0.2, 0.1]
    values = (torch.from_numpy(picture).permute(2, 0, 1) / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    answer = to_picture(values, mean, std)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    answer = np.asarray(answer)
    if answer.shape == (3, 5, 4):
        return "the colours are still first; a picture has them last: `permute(1, 2, 0)`."
    if answer.shape != picture.shape:
        return f"a tensor (3, 5, 4) becomes a picture (5, 4, 3), not {answer.shape}."
    if answer.dtype != np.uint8:
        return f"the picture has to be uint8, not {answer.dtype}."
    wrong = np.abs(answer.astype(int) - picture.astype(int))
    if wrong.max() == 1:
        return "some values are one too small: round before you turn them into whole numbers."
    if wrong.any():
        return f"a pixel that was {picture.flat[wrong.argmax()]} becomes {answer.flat[wrong.argmax()]}."
    return None


@exercise(
    "7.2",
    hints=(
        "The patches stand row by row. How many are in a row when the picture is square?",
        "Make six axes, (batch, rows, columns, colours, size, size), then bring rows beside a patch's height and columns beside its width.",
        "`tokens.unflatten(1, (side, side)).unflatten(-1, (colours, size, size)).permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)`",
    ),
)
def judge_from_patches(from_patches):
    pictures = torch.arange(2 * 3 * 6 * 6).view(2, 3, 6, 6).float()
    tokens = pictures.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).reshape(2, 9, 12)
    answer = from_patches(tokens, 2)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if tuple(answer.shape) != (2, 3, 6, 6):
        return f"9 patches of 3 × 2 × 2 make pictures of shape (2, 3, 6, 6), not {tuple(answer.shape)}."
    if torch.equal(answer, pictures.transpose(2, 3)):
        return "height and width are exchanged."
    if not torch.equal(answer, pictures):
        return "the pixels are not where they were: look at the order of the axes before they are joined."
    grey = pictures[:, :1]
    cut = grey.unfold(2, 3, 3).unfold(3, 3, 3).permute(0, 2, 3, 1, 4, 5).reshape(2, 4, 9)
    return None if torch.equal(from_patches(cut, 3, colours=1), grey) else "it does not work for one colour and patches of 3 × 3."


@exercise(
    "7.3",
    hints=(
        "For each class there are four numbers: true and false positives, true and false negatives. They add up to all pictures.",
        "The row of a class holds TP and FN, its column TP and FP; what is left over is TN.",
        "`fn = confusion[k].sum() - tp`, `fp = confusion[:, k].sum() - tp`, `tn = confusion.sum() - tp - fn - fp`.",
    ),
)
def judge_recall_and_specificity(function):
    confusion = np.array([[8, 2, 0], [1, 3, 1], [0, 5, 10]])
    answer = function(confusion)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    expected = [(0.8, 19 / 20), (0.6, 18 / 25), (10 / 15, 14 / 15)]
    if np.shape(answer) != (3, 2):
        return f"three classes give three pairs, not an answer of shape {np.shape(answer)}."
    for k, ((recall, specificity), (r, s)) in enumerate(zip(expected, answer, strict=True)):
        if math.isclose(r, confusion[k, k] / confusion[:, k].sum()) and not math.isclose(r, recall):
            return f"for class {k} that is the precision, TP / (TP + FP); recall divides by the row, not the column."
        if not math.isclose(r, recall):
            return f"the recall of class {k} is {recall:.3f}, not {r:.3f}."
        if math.isclose(s, 1 - confusion[k, k] / confusion[:, k].sum()):
            return f"for class {k} that is FP / (TP + FP), the false discovery rate; specificity is TN / (TN + FP)."
        if not math.isclose(s, specificity):
            return f"the specificity of class {k} is {specificity:.3f}, not {s:.3f}."
    return None


@exercise(
    "7.4",
    hints=(
        "Two cross-entropies: which logits learn from the labels, which from the teacher?",
        "`F.cross_entropy` has `ignore_index`; the teacher's logits become classes by `argmax`.",
        "`(F.cross_entropy(class_logits, labels, ignore_index=-100) + F.cross_entropy(distillation_logits, teacher_logits.argmax(1))) / 2`",
    ),
)
def judge_hard_distillation(function):
    draw = torch.Generator().manual_seed(4)
    logits, distilled, teacher = (torch.randn(6, 3, generator=draw) for _ in range(3))
    labels = torch.tensor([0, 2, -100, 1, -100, -100])
    answer = function(logits, distilled, teacher, labels)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    known = labels >= 0
    first = torch.nn.functional.cross_entropy(logits[known], labels[known])
    second = torch.nn.functional.cross_entropy(distilled, teacher.argmax(-1))
    soft = torch.nn.functional.cross_entropy(distilled, teacher.softmax(-1))
    if torch.isclose(answer, first + second):
        return "that is the sum of both losses; each counts half."
    if torch.isclose(answer, (first + soft) / 2):
        return "that is soft distillation; the hard one takes the teacher's most likely class as if it were a label."
    swapped = (
        torch.nn.functional.cross_entropy(logits, teacher.argmax(-1)),
        torch.nn.functional.cross_entropy(distilled[known], labels[known]),
    )
    if torch.isclose(answer, sum(swapped) / 2):
        return "the heads are exchanged: the class head learns the labels, the distillation head the teacher."
    if not torch.isclose(answer, (first + second) / 2):
        return f"for the example the loss is {(first + second).item() / 2:.4f}, not {float(answer):.4f}."
    return None


@exercise(
    "7.5",
    hints=(
        "The overlap of two boxes is a box, too. Where does it begin, where does it end?",
        "It begins at the larger of the two x0 and ends at the smaller of the two x1; if that is negative, there is none.",
        "width = max(0, min(x1s) - max(x0s)), the same for the height; union = area + area - overlap.",
    ),
)
def judge_overlap(overlap_of):
    cases = [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
        ((0, 0, 2, 2), (5, 5, 9, 9), 0.0),
        ((0, 0, 2, 2), (5, 0, 9, 2), 0.0),
    ]
    for one, other, expected in cases:
        answer = overlap_of(one, other)
        if answer is None:
            return "the function returns nothing yet; end it with a `return`."
        if not math.isclose(answer, expected, abs_tol=1e-9):
            return f"for {one} and {other} it is {expected:.3f}, not {float(answer):.3f}."
    return None


@exercise(
    "7.6",
    hints=(
        "`linear_sum_assignment(cost)` gives two arrays: queries, and the object of each.",
        "They are sorted by query; the answer is asked for by object.",
        "`rows, columns = linear_sum_assignment(cost)`, then for object k the row at the place where `columns` is k.",
    ),
)
def judge_query_of_each_object(function):
    draw = np.random.default_rng(6)
    for queries, objects in ((3, 3), (4, 2), (5, 3), (1, 1)):
        cost = draw.random((queries, objects))
        answer = function(cost)
        if answer is None:
            return "the function returns nothing yet; end it with a `return`."
        answer = [int(k) for k in answer]
        ways = list(itertools.permutations(range(queries), objects))
        best = min(ways, key=lambda way: sum(cost[query, k] for k, query in enumerate(way)))
        if len(answer) != objects:
            return f"for {queries} queries and {objects} objects the answer has {objects} numbers, not {len(answer)}."
        if len(set(answer)) < objects:
            return f"a query is used twice: {answer}."
        if answer != list(best):
            return f"for the cost {cost.round(2).tolist()} the cheapest is {list(best)}, not {answer}."
    return None
