"""Judges and hints of chapter 8."""

import math

from utils.exercises import exercise


@exercise(
    "8.1",
    hints=(
        "Only what is *not* the label counts: choose those places first.",
        "`others = truth != label`; look at `said[others]`.",
        "`(said[others] != label).mean()` if any are there, `nan` if none.",
    ),
)
def judge_specificity(specificity):
    import numpy as np

    truth, said = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2]), np.array([0, 0, 1, 0, 1, 2, 2, 2, 0, 0])
    answer = specificity(truth, said, 0)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if abs(answer - 3 / 5) < 1e-6:
        return "FP / (TP + FP) is the false discovery rate; divide by all that is not `label`, TN + FP."
    if abs(answer - 3 / 7) < 1e-6:
        return "this is the share that *is* called `label` wrongly; specificity is the rest of it, 1 minus that."
    if abs(answer - 2 / 3) < 1e-6:
        return "this is the recall, the share of `label` that was found; look at what is not `label`."
    if abs(answer - 4 / 7) > 1e-6:
        return f"seven of the ten are not class 0, four of them are not called 0: 4/7 = 0.571, not {answer:.3f}."
    if not math.isnan(answer := specificity(np.zeros(3, int), np.zeros(3, int), 0)):
        return f"when everything is `label` the answer is nan, not {answer}."
    return None


@exercise(
    "8.2",
    hints=(
        "What they have in common is `truth & found`.",
        "Divide twice that by `truth.sum() + found.sum()`, not by the union.",
        "`2 * both / each`, and 1.0 when `each` is 0.",
    ),
)
def judge_dice(dice):
    import numpy as np

    truth, found = np.array([True, True, True, False]), np.array([True, False, False, False])
    answer = dice(truth, found)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if abs(answer - 1 / 3) < 1e-6:
        return "this is IoU, common over united; Dice is twice the common over the sum of both sizes."
    if abs(answer - 1 / 4) < 1e-6:
        return "the common pixels count twice; otherwise two equal masks would have .5."
    if abs(answer - 1 / 2) > 1e-6:
        return f"one pixel in common, three and one in all: 2 · 1 / 4 = .5, not {answer:.3f}."
    if dice(np.zeros(3, bool), np.zeros(3, bool)) != 1:
        return "two empty masks agree perfectly: return 1."
    return None


@exercise(
    "8.3",
    hints=(
        "ᾱ is a product over all steps up to t.",
        "`(1 - betas).cumprod(0)[t]` is ᾱ at step t.",
        "`bar.sqrt() * x0 + (1 - bar).sqrt() * noise`.",
    ),
)
def judge_noised_at(noised_at):
    import torch

    betas, x0, noise = torch.tensor([0.1, 0.2, 0.5]), torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    answer = noised_at(x0, noise, betas, 1)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."

    def made(bar, spread=None):
        return bar**0.5 * x0 + ((1 - bar) ** 0.5 if spread is None else spread) * noise

    for wrong, why in (
        (made(0.8), "this goes only the last step; ᾱ multiplies 1 - β of all steps up to t."),
        (made(0.9), "this is one step too few; t = 0 is after the first step."),
        (made(0.72, 0.28), "the noise has the variance 1 - ᾱ, so it is multiplied by the root of that."),
        (0.72 * x0 + 0.28**0.5 * noise, "the picture is multiplied by the root of ᾱ."),
    ):
        if torch.allclose(answer, wrong, atol=1e-5):
            return why
    if not torch.allclose(answer, made(0.72), atol=1e-5):
        return f"for betas .1, .2, .5 and t = 1, ᾱ is .9 · .8 = .72, and the picture {made(0.72).tolist()}, not {answer.tolist()}."
    return None


@exercise(
    "8.4",
    hints=(
        "First ask what the finished picture would be, if the noise was right.",
        "Solve x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε for x_0; then write the same equation for s.",
        "`x0 = (x_t - (1 - bar_t) ** 0.5 * eps) / bar_t ** 0.5`, then `bar_s ** 0.5 * x0 + (1 - bar_s) ** 0.5 * eps`.",
    ),
)
def judge_ddim(ddim):
    import torch

    x0, eps = torch.tensor([0.3, -0.8]), torch.tensor([1.5, -0.2])
    x_t = 0.36**0.5 * x0 + 0.64**0.5 * eps
    answer = ddim(x_t, eps, 0.36, 0.64)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if torch.allclose(answer, x0, atol=1e-5):
        return "this is the guess of the finished picture; put back the noise that belongs to time s."
    if torch.allclose(answer, 0.8 * x0, atol=1e-5):
        return "the noise of time s is missing: add the root of 1 - ᾱ_s times `eps`."
    if not torch.allclose(answer, 0.8 * x0 + 0.6 * eps, atol=1e-5):
        return f"from ᾱ = .36 to .64 the answer is {(0.8 * x0 + 0.6 * eps).tolist()}, not {answer.tolist()}."
    if not torch.allclose(ddim(x_t, eps, 0.36, 1.0), x0, atol=1e-5):
        return "with ᾱ_s = 1 there is no noise left: the answer is the finished picture."
    return None


@exercise(
    "8.5",
    hints=(
        "All similarities at once: one matrix product, pictures in rows, texts in columns.",
        "The right answer for row i is column i: the targets are 0, 1, 2, …",
        "`(F.cross_entropy(fits, own) + F.cross_entropy(fits.T, own)) / 2`.",
    ),
)
def judge_pair_loss(pair_loss):
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(0)
    pictures, texts = (F.normalize(torch.randn(4, 6, generator=generator), dim=-1) for _ in range(2))
    answer = pair_loss(pictures, texts, 5.0)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    fits, own = 5 * pictures @ texts.T, torch.arange(4)
    rows, columns = F.cross_entropy(fits, own), F.cross_entropy(fits.T, own)
    for wrong, why in (
        (rows, "only the pictures choose their text; the texts choose their picture as well."),
        (columns, "only the texts choose their picture; the pictures choose their text as well."),
        (rows + columns, "the two losses are averaged, not added."),
        ((F.cross_entropy(fits / 5, own) + F.cross_entropy(fits.T / 5, own)) / 2, "`scale` is missing; it multiplies the similarities."),
    ):
        if abs(float(answer) - wrong.item()) < 1e-5:
            return why
    if abs(float(answer) - ((rows + columns) / 2).item()) > 1e-5:
        return f"for four random pairs the loss is {((rows + columns) / 2).item():.4f}, not {float(answer):.4f}."
    return None


@exercise(
    "8.6",
    hints=(
        "Which patch is token number k? Which frame?",
        "`torch.arange(frames * patches) % patches` is the patch of each token.",
        "Compare that vector with itself: `place[:, None] == place`.",
    ),
)
def judge_over_time(over_time):
    import torch

    answer = over_time(3, 4)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if not isinstance(answer, torch.Tensor) or answer.shape != (12, 12):
        return f"three frames of four patches give a tensor of the shape (12, 12), not {tuple(getattr(answer, 'shape', ()))}."
    token = torch.arange(12)
    if torch.equal(answer.bool(), token[:, None] // 4 == token // 4):
        return "this is the other half, attention within a frame; tokens of one frame follow each other."
    if torch.equal(answer.bool(), token[:, None] // 3 == token // 3) or torch.equal(answer.bool(), token[:, None] % 3 == token % 3):
        return "you counted in steps of `frames`; the patches of a frame follow each other, so count in steps of `patches`."
    if not torch.equal(answer.bool(), token[:, None] % 4 == token % 4):
        return "token 1, patch 1 of frame 0, may look at tokens 1, 5 and 9 and at no other."
    return None
