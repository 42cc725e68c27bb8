"""Train embedded/digits-judge, a small ConvNeXt that says which digit a card of 16 × 16 pixels shows, or that it shows none.

Run: python data/models/digits-judge/recipe.py. Others' pictures are judged by it, so it has an eleventh class for what is no
digit; without it, a classifier of digits is sure about noise, too. It prints its accuracy on digits of hands it never saw.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import ConvNextConfig, ConvNextForImageClassification

from utils.book import recipes
from utils.embedded import cards

SHORT = {"steps": 150, "at_least": 0.6}
BATCH, NONE = 64, 10
LABELS = (*cards.WORDS, "none")


def start() -> ConvNextForImageClassification:
    """ConvNeXt at random: patches of 2 × 2 pixels, two stages."""
    config = ConvNextConfig(
        num_channels=1, image_size=cards.SIZE, patch_size=2, num_stages=2, hidden_sizes=[32, 64], depths=[2, 2],
        layer_scale_init_value=1.0, initializer_range=0.1, id2label=dict(enumerate(LABELS)), label2id={w: i for i, w in enumerate(LABELS)},
    )  # fmt: skip
    return ConvNextForImageClassification(config)


def changed(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures, (cards, 1, 16, 16), a little turned, sheared, stretched and moved; some paler or noisy."""
    count = len(pictures)
    maps = torch.randn(count, 2, 3) * torch.tensor([0.08, 0.1, 0.08]) + torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    pictures = F.grid_sample(pictures, F.affine_grid(maps, pictures.shape, align_corners=False), align_corners=False)
    pale, noise = 1 - 0.3 * torch.rand(count, 1, 1, 1), 0.15 * torch.rand(count, 1, 1, 1)
    return (pictures * pale + noise * torch.randn(pictures.shape)).clamp(0, 1)


def nothing(pictures: torch.Tensor) -> torch.Tensor:
    """As many pictures of no digit: noise, blots, and digits whose quarters changed places."""
    count, side = len(pictures), cards.SIZE
    noise = torch.rand(count, 1, side, side) ** (0.5 + 3 * torch.rand(count, 1, 1, 1))
    blots = F.interpolate(torch.randn(count, 1, 6, 6), size=side, mode="bicubic", align_corners=False)
    blots = ((blots - 0.4) * 3).clamp(0, 1)
    window = torch.zeros(side, side)
    window[2:14, 3:13] = 1
    quarters = pictures.reshape(count, 2, 8, 2, 8).transpose(2, 3).reshape(count, 4, 8, 8)
    order = torch.stack([torch.randperm(3) + 1 for _ in range(count)])
    order = torch.cat([order, torch.zeros(count, 1, dtype=torch.long)], 1)  # no quarter stays first
    torn = quarters[torch.arange(count)[:, None], order].reshape(count, 2, 2, 8, 8).transpose(2, 3).reshape(count, 1, side, side)
    return torch.stack([noise, blots, blots * window, torn])[torch.randint(4, (count,)), torch.arange(count)]


def train(args, folder: Path) -> None:
    """A seventh of every batch is no digit."""
    pictures, labels = map(torch.tensor, cards.ink("train"))
    model = start()
    print(f"{model.num_parameters():,} parameters, {len(labels):,} digits", flush=True)

    def loss(step: int) -> torch.Tensor:
        rows = torch.randint(len(labels), (BATCH,))
        given, wanted = changed(pictures[rows][:, None]), labels[rows].clone()
        none = len(rows) // 7
        given[:none], wanted[:none] = nothing(given[:none]), NONE
        return F.cross_entropy(model(given).logits, wanted)

    recipes.fit(model, loss, args.steps, recipes.optimisers(model, rate=3e-3, muon=2e-2, decay=0.05, filters=True))
    copy.deepcopy(model).half().save_pretrained(folder)


@torch.inference_mode()
def evaluate(folder: Path) -> dict:
    """Accuracy on the test hands, and how sure it is that noise and torn digits show a digit."""
    model = ConvNextForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()
    pictures, labels = map(torch.tensor, cards.ink("test"))
    torch.manual_seed(0)
    found = model(pictures[:, None]).logits.softmax(-1)
    noise = model(torch.rand(500, 1, cards.SIZE, cards.SIZE)).logits.softmax(-1)
    fooled = model(nothing(pictures[:, None])).logits.softmax(-1)
    majority = np.bincount(labels).max() / len(labels)
    return {
        "metric": "accuracy",
        "value": round((found.argmax(-1) == labels).float().mean().item(), 3),
        "control": {"the most frequent digit": round(float(majority), 3)},
        "confidence in a digit": round(found[:, :NONE].amax(-1).mean().item(), 3),
        "confidence in a digit, noise": round(noise[:, :NONE].amax(-1).mean().item(), 3),
        "confidence in a digit, blots and torn digits": round(fooled[:, :NONE].amax(-1).mean().item(), 3),
    }


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=700, short=SHORT)
