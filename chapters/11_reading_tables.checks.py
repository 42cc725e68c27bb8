"""Judges and hints of chapter 11."""

from utils.exercises import exercise


@exercise(
    "11.1",
    hints=(
        "What decides a rank is how many *different* numbers are larger.",
        "Sort the set of numbers, largest first, without the `None`s; a number's place in that list tells its rank.",
        "`order = sorted({v for v in values if v is not None}, reverse=True)`, then `order.index(v) + 1`, or 0 for `None`.",
    ),
)
def judge_ranks(ranks):
    answer = ranks([34.0, 28.0, 61.0, 45.0])
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if list(answer) == [2, 1, 4, 3]:
        return "these are the ranks from below; the largest number should have rank 1."
    if list(answer) == [2, 3, 0, 1]:
        return "the ranks begin at 0; 0 is kept for cells that hold no number, so begin at 1."
    if list(answer) != [3, 4, 1, 2]:
        return f"for 34, 28, 61, 45 the ranks from the top are [3, 4, 1, 2], not {list(answer)}."
    if list(answer := ranks([5.0, 9.0, 9.0, 1.0])) != [2, 1, 1, 3]:
        return f"9 stands twice in 5, 9, 9, 1: both have rank 1 and 5 follows with rank 2, giving [2, 1, 1, 3], not {list(answer)}."
    if list(answer := ranks([None, 2.0, None])) != [0, 1, 0]:
        return f"for None, 2, None the ranks are [0, 1, 0], not {list(answer)}."
    return None


@exercise(
    "11.2",
    hints=(
        "Cells hold text; what has to become a number before you can add up?",
        "Treat NONE and COUNT first: they work for words too. Then add up the floats.",
        "`total = sum(float(v) for v in values)`; the average is `total / len(values)`, or None when there is no cell.",
    ),
)
def judge_denotation(denotation):
    cells = ["34", "28", "61"]
    if denotation(cells, "SUM") is None and denotation(cells, "NONE") is None:
        return "the function returns nothing yet; end it with a `return`."
    for aggregation, expected in (("NONE", cells), ("COUNT", 3), ("SUM", 123.0), ("AVERAGE", 41.0)):
        answer = denotation(cells, aggregation)
        if answer != expected:
            return f"for the cells 34, 28, 61 and {aggregation} the answer is {expected!r}, not {answer!r}."
    if (answer := denotation(["Bremen", "Aachen"], "COUNT")) != 2:
        return f"two words can be counted: the answer is 2, not {answer!r}."
    if (answer := denotation([], "COUNT")) != 0:
        return f"counting no cell gives 0, not {answer!r}."
    if (answer := denotation([], "AVERAGE")) is not None:
        return f"the average of no cell is None, not {answer!r}."
    return None


@exercise(
    "11.3",
    hints=(
        "Work out the three results first, each softly: a cell that is half chosen counts half.",
        "The count is the sum of the probabilities, the sum weighs the values with them, the average divides the two.",
        "Stack sum, average and count, weigh them with `operations / operations.sum()`, and add up.",
    ),
)
def judge_soft_answer(soft_answer):
    import torch

    values = torch.tensor([10.0, 20.0, 60.0])
    p = torch.tensor([1.0, 1.0, 0.0], requires_grad=True)
    answer = soft_answer(p, values, torch.tensor([1.0, 0.0, 0.0]))
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if not isinstance(answer, torch.Tensor):
        return f"the answer has to be a tensor with a gradient, not {type(answer).__name__}; do not call `float` or `item`."
    for operations, name, expected in (((1, 0, 0), "sum", 30.0), ((0, 1, 0), "average", 15.0), ((0, 0, 1), "count", 2.0)):
        answer = soft_answer(p, values, torch.tensor([float(o) for o in operations]))
        if abs(answer.item() - expected) > 1e-4:
            return f"with 10 and 20 chosen and 60 not, the {name} is {expected:g}, not {answer.item():g}."
    operations = torch.tensor([0.2, 0.2, 0.4], requires_grad=True)  # as they come from a softmax over four, NONE left out
    answer = soft_answer(p, values, operations)
    if abs(answer.item() - 12.25) > 1e-3:
        return f"operations need not add up to 1: for .2, .2, .4 divide by their sum, which gives 12.25, not {answer.item():g}."
    if not answer.requires_grad:
        return "no gradient reaches the inputs; do not detach or leave PyTorch on the way."
    answer.backward()
    if p.grad is None or operations.grad is None:
        return "the gradient reaches only one of `p` and `operations`; both have to take part in the result."
    return None


@exercise(
    "11.4",
    hints=(
        "Make a dictionary from the training values once; the returned function only looks things up.",
        "`enumerate(sorted(set(training)), 1)` numbers the values from 1.",
        "`dict.get(value, 0)` gives 0 for what is not in it.",
    ),
)
def judge_coder(coder):
    codes = coder(["red", "blue", "red", "green"])
    if codes is None:
        return "the function returns nothing yet; it should return another function."
    if not callable(codes):
        return f"return a function that takes values and gives codes, not {type(codes).__name__}."
    answer = codes(["blue", "green", "red", "blue"])
    if list(answer or []) == [0, 1, 2, 0]:
        return "the codes begin at 0; that is the code of an unseen value, so begin at 1."
    if list(answer or []) != [1, 2, 3, 1]:
        return f"blue, green, red, blue have the codes [1, 2, 3, 1] (sorted order), not {answer!r}."
    if list(answer := codes(["violet", "red"])) != [0, 3]:
        return f"violet was not in training: its code is 0 and red keeps 3, giving [0, 3], not {answer!r}."
    return None


@exercise(
    "11.5",
    hints=(
        "Each of the n numbers multiplies its own vector; broadcasting can do all of them at once.",
        "Give `numbers` a last dimension of size 1, so that it stretches over the width.",
        "`numbers[:, :, None] * weight + bias`.",
    ),
)
def judge_number_tokens(number_tokens):
    import torch

    generator = torch.Generator().manual_seed(0)
    numbers, weight, bias = (torch.randn(shape, generator=generator) for shape in ((5, 3), (3, 4), (3, 4)))
    answer = number_tokens(numbers, weight, bias)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if not isinstance(answer, torch.Tensor) or answer.shape != (5, 3, 4):
        return f"five rows of three numbers give tokens of the shape (5, 3, 4), not {tuple(getattr(answer, 'shape', ()))}."
    expected = torch.einsum("bn,nw->bnw", numbers, weight)
    if torch.allclose(answer, expected, atol=1e-6):
        return "the bias is missing; a number of 0 would have an empty token."
    if not torch.allclose(answer, expected + bias, atol=1e-5):
        return "the numbers are wrong: token j of a row is its number j times row j of `weight`, plus row j of `bias`."
    return None


@exercise(
    "11.6",
    hints=(
        "Two means, one after the other: over the tokens of a cell, then over the cells of a column.",
        "A cell is where both `columns` and `rows` have given values; use a boolean mask. Column 0 is left out.",
        "Collect one mean per column in a list, `torch.stack` it, and take the softmax.",
    ),
)
def judge_column_probabilities(column_probabilities):
    import torch

    scores = torch.tensor([9.0, 1.0, 0.0, 3.0, 3.0, 3.0, 0.0])
    columns, rows = torch.tensor([0, 1, 2, 1, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 1, 1, 1])
    answer = column_probabilities(scores, columns, rows)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if not isinstance(answer, torch.Tensor) or answer.shape != (2,):
        return f"two columns give two probabilities, not the shape {tuple(getattr(answer, 'shape', ()))}; column 0 is the question."
    if torch.allclose(answer, torch.tensor([2.0, 0.0])):
        return "these are the scores; the probabilities are their softmax."
    if torch.allclose(answer, torch.tensor([2.5, 0.0]).softmax(0), atol=1e-4):
        return "a cell of three tokens counts three times; average over the tokens of each cell first, then over the cells."
    if torch.allclose(answer, torch.tensor([3.0, 0.0]).softmax(0), atol=1e-4):
        return "the header is missing; it counts as a cell of its column."
    if not torch.allclose(answer, torch.tensor([2.0, 0.0]).softmax(0), atol=1e-4):
        return f"for cells with the means 1 and 3 in one column and 0 and 0 in the other the answer is (.881, .119), not {answer.tolist()}."
    return None
