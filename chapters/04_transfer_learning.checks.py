"""Judges and hints of chapter 4."""

from utils.exercises import exercise

NOTHING = "the function returns nothing yet; end it with a `return`."


@exercise(
    "4.1",
    hints=(
        "`layers[-0:]` is the whole list. Count from the front instead: from which number on are layers trained?",
        "`first = max(len(layers) - trained, 0)`; a layer gets gradients when its number is at least `first`.",
        "`layer.requires_grad_(number >= first)` for each; then sum `p.numel()` over the parameters with `p.requires_grad`.",
    ),
)
def judge_freeze(freeze):
    from torch import nn

    def stack():
        return nn.ModuleList(nn.Linear(2, 3) for _ in range(4))  # nine numbers in each

    for trained, expected in ((2, 18), (0, 0), (9, 36), (4, 36)):
        layers = stack()
        answer = freeze(layers, trained)
        if answer is None:
            return NOTHING
        on = [all(p.requires_grad for p in layer.parameters()) for layer in layers]
        right = [n >= 4 - trained for n in range(4)]
        if trained == 0 and all(on):
            return "for 0 trained layers everything is trained: `layers[-0:]` is the whole list."
        if on != right and on == right[::-1] and trained == 2:
            return "the first layers are trained; it has to be the last ones."
        if on != right:
            return f"for 4 layers and trained={trained}, the layers with gradients are {on}; it should be {right}."
        if answer == expected // 9 * 2 and answer:
            return "count numbers, not tensors: use `p.numel()`."
        if answer != expected:
            return f"for 4 layers of 9 numbers and trained={trained} it returns {answer}; it should be {expected}."
    layers = stack().requires_grad_(False)
    if freeze(layers, 1) != 9:
        return "layers that were frozen before have to be thawed when they are among the last `trained`."
    return None


@exercise(
    "4.2",
    hints=(
        "The cosine is the dot product of vectors of length 1: divide first.",
        "`F.normalize(…, dim=-1)` divides each row by its length. Do it to both.",
        "Then `(vectors @ names.T).argmax(-1)`: for each text the class with the largest product.",
    ),
)
def judge_nearest(nearest):
    import torch

    vectors, names = torch.tensor([[2.0, 0.2], [0.1, 3.0], [1.0, 0.9]]), torch.tensor([[1.0, 0.0], [9.0, 9.0], [0.0, 0.5]])
    answer = nearest(vectors, names)
    if answer is None:
        return NOTHING
    if not isinstance(answer, torch.Tensor) or answer.shape != (3,):
        found = getattr(answer, "shape", type(answer).__name__)
        return f"the answer has to be a tensor with one number for each of the 3 texts, not {found}."
    if answer.tolist() == (vectors @ names.T).argmax(-1).tolist():
        return "the longest class vector wins everywhere: divide the class vectors by their lengths first."
    if answer.tolist() == torch.cdist(vectors, names).argmin(-1).tolist():
        return "this is the nearest by distance; it should be the largest cosine."
    if answer.tolist() != [0, 2, 1]:
        return f"for three texts that point to the classes 0, 2 and 1 it gives {answer.tolist()}."
    return None


@exercise(
    "4.3",
    hints=(
        "First the set of words of each text: `set(re.findall(r'\\w+', text.lower()))`.",
        "For every word count in how many texts `(word in found) == (label == 1)`. "
        "The rule for class 0 is right wherever this one is wrong.",
        "Go through the words in `sorted` order and keep a new best only if it is strictly better.",
    ),
)
def judge_best_rule(best_rule):
    texts = ["Agency says rain", "agency: sun", "agencies say nothing", "The sun shines", "Rain, rain"]
    answer = best_rule(texts, [0, 0, 1, 1, 1])
    if answer is None:
        return NOTHING
    try:
        word, number, accuracy = answer
    except (TypeError, ValueError):
        return f"return three things, (word, class, accuracy), not {answer!r}."
    if word == "Agency":
        return "words have to be lower case, so that “Agency” and “agency” are one word."
    if word == "agency" and number == 1:
        return "the word “agency” stands for class 0 here: texts that have it are of class 0."
    if (word, number) != ("agency", 0):
        return f"for texts where “agency” stands in exactly those of class 0 it finds {word!r} for class {number}."
    if abs(accuracy - 1) > 1e-9:
        return f"the rule is right for all five texts; the accuracy should be 1.0, not {accuracy}."
    word, number, accuracy = best_rule(["b a", "a b", "c"], [1, 1, 0])
    if (word, number) != ("a", 1):
        return f"of equally good rules the first word in the alphabet should win: 'a' for class 1, not {word!r} for class {number}."
    word, number, accuracy = best_rule(["x", "x y", "y", "z"], [1, 1, 1, 0])
    if abs(accuracy - 1) > 1e-9:
        return "a word that stands in the only text of class 0 makes a perfect rule for class 0; look at both classes."
    return None


@exercise(
    "4.4",
    hints=(
        "Put all rows in a random order first (`torch.randperm` with a generator of your seed), then take from that order.",
        "`order[labels[order] == c][:size]` are the first `size` rows of class c in that order: nested in size by themselves.",
        "Check the length of each part and raise ValueError if it is short; then `torch.cat`.",
    ),
)
def judge_draw(draw):
    import torch

    labels = torch.tensor([0, 1, 2] * 10 + [0] * 20)
    answer = draw(labels, 4, 3)
    if answer is None:
        return NOTHING
    rows = torch.as_tensor(answer).tolist()
    if len(set(rows)) < len(rows):
        return "some rows are drawn twice."
    if len(rows) != 12 or labels[rows].bincount(minlength=3).tolist() != [4, 4, 4]:
        return f"for three classes and size 4 there should be 4 rows of each; there are {labels[rows].bincount(minlength=3).tolist()}."
    if torch.as_tensor(draw(labels, 4, 3)).tolist() != rows:
        return "the same seed gives other rows the second time; make a generator with `torch.Generator().manual_seed(seed)`."
    if torch.as_tensor(draw(labels, 4, 4)).tolist() == rows:
        return "another seed gives the same rows."
    if not set(rows) <= set(torch.as_tensor(draw(labels, 7, 3)).tolist()):
        return "the rows for size 4 should be among those for size 7: make the order first, then cut it."
    try:
        draw(labels, 11, 3)
    except ValueError:
        return None
    return "class 1 has 10 examples, so for size 11 it should raise a ValueError."


@exercise(
    "4.5",
    hints=(
        "Every pair (true, predicted) is one cell; number the cells from 0 to classes² − 1.",
        "The cell of a pair is `true * classes + predicted`, since a row has `classes` cells.",
        "`.bincount(minlength=classes**2).reshape(classes, classes)` counts them.",
    ),
)
def judge_confusion(confusion):
    import torch

    true, predicted = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 1, 1, 1, 2, 2])
    answer = confusion(true, predicted, 4)
    if answer is None:
        return NOTHING
    answer, right = torch.as_tensor(answer), torch.tensor([[1, 2, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    if tuple(answer.shape) != (4, 4):
        return f"for 4 classes the shape should be (4, 4), also when the last class never occurs; it is {tuple(answer.shape)}."
    if torch.equal(answer.long(), right.T):
        return "rows and columns are swapped: the row is the true class."
    if answer.max() <= 1 < right.max():
        return "two examples fall into one cell and count once; add them up."
    if not torch.equal(answer.long(), right):
        return f"for true 0 0 0 1 1 2 and predicted 0 1 1 1 2 2 it gives {answer.tolist()}; it should be {right.tolist()}."
    return None


@exercise(
    "4.6",
    hints=(
        "The loss of an example is minus the logarithm of the probability of its label.",
        "`F.cross_entropy(logits, labels, reduction='none')` gives one loss for each example, also for very large logits.",
        "`.argsort(descending=True)` puts the highest first.",
    ),
)
def judge_worst_first(worst_first):
    import torch

    logits = torch.tensor([[5.0, 0.0], [0.4, 0.6], [0.0, 3.0], [0.0, 2000.0], [1500.0, 0.0]])
    labels = torch.tensor([0, 0, 0, 0, 1])
    answer = worst_first(logits, labels)
    if answer is None:
        return NOTHING
    answer = torch.as_tensor(answer).tolist()
    if sorted(answer) != [0, 1, 2, 3, 4]:
        return f"all five examples should be there, each once; it gives {answer}."
    if answer == [0, 1, 2, 4, 3]:
        return "this is the lowest loss first; it should be the highest."
    if answer[:2] != [3, 4]:
        return (
            f"logits of 2000 and 1500 for the wrong class should come first, in this order; it gives {answer}. "
            "Take the loss from the logits, not from probabilities that became 0."
        )
    if answer != [3, 4, 2, 1, 0]:
        return f"for five examples whose losses are in the order 3, 4, 2, 1, 0 it gives {answer}."
    return None
