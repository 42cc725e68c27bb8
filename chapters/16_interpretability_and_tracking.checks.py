"""Judges and hints of chapter 16."""

from utils.exercises import exercise


def _shape(answer, expected, what="the answer"):
    """What is wrong with the shape of a tensor, or None."""
    import torch

    if not isinstance(answer, torch.Tensor):
        return f"{what} has to be a tensor, not {type(answer).__name__}."
    if answer.shape != expected:
        return f"{what} has the shape {tuple(answer.shape)}; it should have {tuple(expected)}."
    return None


@exercise(
    "16.1",
    hints=(
        "A probability needs all logits of a document, not only the largest.",
        "Take the softmax over the classes, which are the last dimension.",
        "`logits.softmax(-1)` survives large logits; of it you need the largest value in the last dimension.",
    ),
)
def judge_confidence(confidence):
    import torch

    logits = torch.tensor([[2.0, 0.0, 0.0], [-1.0, -1.0, -1.0], [0.0, 3.0, 3.0]])
    answer = confidence(logits)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if wrong := _shape(answer, torch.Size([3])):
        return wrong
    if torch.allclose(answer, logits.max(-1).values):
        return "this is the largest logit; turn the logits into probabilities first."
    if torch.allclose(answer, logits.softmax(0).max(-1).values):
        return "the softmax runs over the documents; it has to run over the classes, the last dimension."
    if torch.allclose(answer, logits.sigmoid().max(-1).values):
        return "a sigmoid looks at one logit alone; the probabilities of all classes have to add up to one."
    if not torch.allclose(answer, logits.softmax(-1).max(-1).values, atol=1e-6):
        return f"for the logits [2, 0, 0] the probability is 0.787, not {float(answer[0]):.3f}."
    if not torch.allclose(confidence(torch.tensor([[800.0, 799.0]])), torch.tensor([0.7311]), atol=1e-3):
        return "for logits of several hundred the exponential overflows; use `softmax`, which subtracts the largest first."
    return None


@exercise(
    "16.2",
    hints=(
        "There are three dimensions to think about: heads, queries (rows), keys (columns). The answer is by key.",
        "Average over the heads first. Then a weighted mean over the queries, with the mask as weights.",
        "`(mean * mask[:, :, None]).sum(1)` adds the rows of real queries; divide by the number of real tokens.",
    ),
)
def judge_received(received):
    import torch

    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, 3, 5, 5, generator=generator).softmax(-1)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    answer = received(weights, mask)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if wrong := _shape(answer, torch.Size([2, 5])):
        return wrong
    mean = weights.mean(1)
    right = (mean * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    if torch.allclose(answer, right, atol=1e-6):
        return None
    if torch.allclose(answer, mean.mean(1), atol=1e-6):
        return "rows of padding vote too: average over the real queries only."
    if torch.allclose(answer, mean.mean(2), atol=1e-6) or torch.allclose(answer.sum(1), torch.ones(2) * answer.sum(1)[0]) and torch.allclose(answer, answer[:, :1].expand_as(answer), atol=1e-5):
        return "this is the attention that each token gives, which is the same for all; average over the queries, not the keys."
    if torch.allclose(answer[0], right[0], atol=1e-6):
        return "it is right for the document without padding, and wrong for the one with two padding tokens."
    return f"the first token of the first document receives {right[0, 0]:.3f}, not {float(answer[0, 0]):.3f}."


@exercise(
    "16.3",
    hints=(
        "Make all points of the path at once: a tensor (steps, size) between baseline and x.",
        "The midpoints are (k + 1/2) / steps for k = 0 … steps − 1; `torch.autograd.grad(function(points).sum(), points)` gives all gradients.",
        "Average the gradients over the steps and multiply by (x − baseline).",
    ),
)
def judge_integrate(integrate):
    import torch

    def product(points):
        return points[:, 0] * points[:, 1] ** 2

    x, baseline = torch.tensor([3.0, 2.0]), torch.tensor([1.0, 0.5])
    answer = integrate(product, x, baseline, 200)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if wrong := _shape(answer, torch.Size([2])):
        return wrong
    answer = answer.detach()

    def path(k, steps):
        return (baseline + (k[:, None] / steps) * (x - baseline)).requires_grad_()

    points = path(torch.arange(2000) + 0.5, 2000)
    mean = torch.autograd.grad(product(points).sum(), points)[0].mean(0)
    right = (x - baseline) * mean
    if torch.allclose(answer, mean, atol=1e-2):
        return "this is the mean gradient along the path; it still has to be multiplied by (x − baseline)."
    if torch.allclose(answer, x * mean, atol=1e-2):
        return "multiply by (x − baseline), not by x: the baseline need not be zero."
    end = x.clone()[None].requires_grad_()
    if torch.allclose(answer, (x - baseline) * torch.autograd.grad(product(end).sum(), end)[0][0], atol=1e-2):
        return "this is the gradient at x alone; collect gradients along the whole path from the baseline."
    if not torch.allclose(answer, right, atol=2e-3):
        gap = float(answer.sum() - (product(x[None]) - product(baseline[None]))[0])
        return f"the scores should add up to the difference between x and the baseline; they are off by {gap:+.3f}."
    coarse = integrate(product, x, baseline, 2)
    if coarse is None or not torch.allclose(coarse.detach(), (x - baseline) * _two_midpoints(product, path), atol=1e-4):
        return "with 2 steps it does not use the midpoints 1/4 and 3/4 of the path: an end of the path is counted in."
    return None


def _two_midpoints(function, path):
    import torch

    points = path(torch.tensor([0.5, 1.5]), 2)
    return torch.autograd.grad(function(points).sum(), points)[0].mean(0)


@exercise(
    "16.4",
    hints=(
        "Sort the positions of the words by score, largest first; the sign counts.",
        "For each share build one text in which the first max(1, round(share · length)) of them are replaced by the blank.",
        "Ask `predict` for the whole text and the blanked ones together; return the mean of whole − blanked.",
    ),
)
def judge_comprehensiveness(comprehensiveness):
    import numpy as np

    weight = {"a": 0.4, "b": 0.3, "c": 0.1, "d": 0.05, "e": -0.2}

    def predict(texts):
        return np.array([0.2 + sum(weight.get(word, 0) for word in text.split()) for text in texts])

    words, scores, shares = list("abcde"), np.array([4.0, 3.0, 1.0, 0.5, -6.0]), [0.2, 0.4]
    answer = comprehensiveness(predict, words, scores, "_", shares)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if np.ndim(answer) != 0:
        return f"the answer has to be one number, the mean over the shares, not {len(answer)} of them."
    answer = float(answer)
    right = (0.4 + 0.7) / 2
    if abs(answer - right) < 1e-6:
        tiny = comprehensiveness(predict, words, scores, "_", [0.01])
        return None if abs(tiny - 0.4) < 1e-6 else "for a very small share no word is blanked; blank at least one."
    if abs(answer + right) < 1e-6:
        return "the sign is the wrong way round: a fall of the probability counts as positive."
    if abs(answer - (-0.2 - 0.15) / 2) < 1e-6:
        return "it blanks the least important words first; the highest scores have to go first."
    if abs(answer - (-0.2 + 0.2) / 2) < 1e-6:
        return "it sorts by absolute value; a word that speaks against the class (negative score) is not important for it."
    if abs(answer - 1.1) < 1e-6:
        return "this is the sum over the shares; return their mean."
    return f"for five words and the shares 0.2 and 0.4 it returns {answer:.3f}; it should be {right:.3f}."


@exercise(
    "16.5",
    hints=(
        "Keep one running average that starts at zero, and go through the values once.",
        "After each value divide by 1 − weight**t, where t counts from 1. The running average itself stays undivided.",
        "average = weight * average + (1 - weight) * value; then append average / (1 - weight**t).",
    ),
)
def judge_smooth(smooth):
    values = [4.0, 2.0, 6.0, 0.0]
    answer = smooth(values, 0.5)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    answer = [float(a) for a in answer]
    if len(answer) != len(values):
        return f"there should be as many points as before, {len(values)}, not {len(answer)}."
    average, right, plain = 0.0, [], []
    for t, value in enumerate(values, 1):
        average = 0.5 * average + 0.5 * value
        plain.append(average)
        right.append(average / (1 - 0.5**t))

    def same(a, b):
        return all(abs(p - q) < 1e-9 for p, q in zip(a, b))

    if same(answer, plain):
        return "the first points are pulled towards zero: divide by 1 − weight**t."
    if abs(answer[0] - values[0]) < 1e-9 and not same(answer, right):
        if abs(answer[1] - (0.5 * values[0] + 0.5 * values[1])) < 1e-9:
            return "it starts from the first value instead of dividing by 1 − weight**t, which gives the first value too much weight."
        return f"the first point is right, but the second is {answer[1]:.3f} and not {right[1]:.3f}; the running average itself must stay undivided."
    if not same(answer, right):
        return f"for {values} and weight 0.5 the first point is {answer[0]:.3f}; it should be {right[0]:.3f}."
    if not same(smooth([1.0, 3.0], 0.0), [1.0, 3.0]):
        return "with weight 0 nothing is smoothed: the values should come back unchanged (is the weight on the new value?)."
    if not same(smooth([1.0, 3.0], 0.9), [1.0, (0.9 * 0.1 + 0.3) / 0.19]):
        return "with weight 0.9 the second of the values 1 and 3 should be 2.053; the weight belongs to the old average."
    return None


@exercise(
    "16.6",
    hints=(
        "Turn each state into logits as the model does at its end: first the norm, then the unembedding.",
        "All but the last state are raw; the last one has been through the norm, so it must not go through it again.",
        "The rank is the number of logits that are larger than the token's: `(logits > logits[token]).sum()`.",
    ),
)
def judge_rank_by_layer(rank_by_layer):
    import torch

    unembedding = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.6, 0.6, 0.0]])

    def norm(state):  # uneven, so that leaving it out or doing it twice changes the order
        return state / state.norm() * torch.tensor([1.0, 2.0, 4.0])

    states = (torch.tensor([3.0, 2.0, 0.1]), torch.tensor([3.0, 1.0, 1.0]), torch.tensor([2.0, 1.5, 0.6]))

    def ranks(which):
        return [int((lg > lg[0]).sum()) for lg in (unembedding @ s for s in which)]

    right = ranks([norm(states[0]), norm(states[1]), states[2]])
    answer = rank_by_layer(states, norm, lambda state: unembedding @ state, 0)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    answer = [int(a) for a in answer]
    if answer == right:
        return None
    if answer == ranks([norm(s) for s in states]):
        return "the last state is normalised twice: it has been through the norm already."
    if answer == ranks(states):
        return "the norm is missing for the states before the last."
    if answer == [r + 1 for r in right]:
        return "ranks start at 0: a token with no better one beside it has rank 0."
    if len(answer) != 3:
        return f"there should be one rank for each of the 3 states, not {len(answer)}."
    return f"it returns the ranks {answer}; they should be {right}."
