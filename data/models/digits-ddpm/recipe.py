"""Train embedded/digits-ddpm, a denoising diffusion model (Ho et al., 2020) that draws handwritten digits of 16 × 16 pixels.

Run: python data/models/digits-ddpm/recipe.py. It prints how sure embedded/digits-judge is that the drawings are digits, beside
controls, and how far they are from real digits of hands that nobody here was trained on.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch.nn import functional as F
from transformers import AutoModelForImageClassification

from utils import assets
from utils.book import recipes
from utils.embedded import cards, digits

SHORT = {"steps": 120, "at_least": 0.3}
BATCH, TIMES, DRAWN, DDIM_STEPS = 64, 200, 300, 50


def start() -> UNet2DModel:
    """A U-Net at random: 16 × 16, 8 × 8 and 4 × 4 pixels, attention among the sixteen places of the last."""
    return UNet2DModel(
        sample_size=cards.SIZE, in_channels=1, out_channels=1, block_out_channels=(48, 96, 96), layers_per_block=1, norm_num_groups=8,
        attention_head_dim=16, down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def moved(pictures: torch.Tensor) -> torch.Tensor:
    """Each picture, (cards, 16, 16), by up to one pixel to any side; their border is empty."""
    right, down = torch.randint(-1, 2, (2, len(pictures)))
    place = torch.arange(cards.SIZE)
    rows, columns = (place - down[:, None]) % cards.SIZE, (place - right[:, None]) % cards.SIZE
    return pictures[torch.arange(len(pictures))[:, None, None], rows[:, :, None], columns[:, None, :]]


def train(args, folder: Path) -> None:
    """The noise in a noisy picture is guessed, its square error is the loss; what is kept is the average of the last weights."""
    pictures = torch.tensor(cards.ink("train")[0])
    scheduler = DDPMScheduler(num_train_timesteps=TIMES, beta_schedule="squaredcos_cap_v2")
    model = start()
    average = EMAModel(model.parameters(), decay=0.998)
    print(f"{model.num_parameters():,} parameters, {len(pictures):,} digits", flush=True)

    def loss(step: int) -> torch.Tensor:
        average.step(model.parameters())
        clean = 2 * moved(pictures[torch.randint(len(pictures), (BATCH,))])[:, None] - 1  # ink 1, paper −1
        noise, times = torch.randn_like(clean), torch.randint(TIMES, (BATCH,))
        return F.mse_loss(model(scheduler.add_noise(clean, noise, times), times).sample, noise)

    recipes.fit(model, loss, args.steps, recipes.optimisers(model, rate=2e-3, muon=2e-2, decay=0.0, filters=True), every=50)
    average.copy_to(model.parameters())
    copy.deepcopy(model).half().save_pretrained(folder)
    scheduler.save_pretrained(folder)


@torch.inference_mode()
def draw(model: UNet2DModel, scheduler: DDIMScheduler, count: int, steps: int = DDIM_STEPS, seed: int = 0) -> np.ndarray:
    """So many drawings with DDIM (Song et al., 2021), which needs fewer steps than were trained: (count, 16, 16) from 0 to 1."""
    noisy = torch.randn(count, 1, cards.SIZE, cards.SIZE, generator=torch.Generator().manual_seed(seed))
    scheduler.set_timesteps(steps)
    for time in scheduler.timesteps:
        noisy = scheduler.step(model(noisy, time).sample, time, noisy).prev_sample
    return ((noisy[:, 0] + 1) / 2).clamp(0, 1).numpy()


def distances(pictures: np.ndarray, references: np.ndarray) -> np.ndarray:
    """For each picture the distance (root mean square of the pixels) to the nearest reference, moved by up to one pixel."""
    every = [np.roll(references, (down, right), (1, 2)).reshape(len(references), -1) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    flat = torch.tensor(pictures).reshape(len(pictures), -1)
    nearest = torch.cdist(flat, torch.tensor(np.concatenate(every))).amin(1)
    return (nearest / cards.SIZE).numpy()


@torch.inference_mode()
def evaluate(folder: Path) -> dict:
    """What the judge says of 300 drawings, of an untrained model's, of noise; and distances to the nearest real digit."""
    judge = AutoModelForImageClassification.from_pretrained(assets.model("embedded/digits-judge"), dtype=torch.float32).eval()
    scheduler = DDIMScheduler.from_pretrained(folder)
    drawings = draw(UNet2DModel.from_pretrained(folder).eval(), scheduler, DRAWN)
    torch.manual_seed(0)
    train, test = cards.ink("train")[0], cards.ink("test")[0]
    labels = cards.ink("train")[1]
    means = np.stack([train[labels == digit].mean(0) for digit in range(10)])
    pictures = {
        "drawings": drawings,
        "an untrained model's drawings": draw(start().eval(), scheduler, 60),
        "noise": np.random.default_rng(0).random((DRAWN, cards.SIZE, cards.SIZE), dtype=np.float32),
        "mean of each digit": means,
        "real training digits": train,
        "real test digits": test,
    }
    chances = {name: judge(torch.tensor(given)[:, None]).logits.softmax(-1)[:, :10] for name, given in pictures.items()}
    sure = {name: round(found.amax(-1).mean().item(), 3) for name, found in chances.items()}
    counts = np.bincount(chances["drawings"].argmax(-1).numpy(), minlength=10)
    near = {name: round(float(distances(given, test).mean()), 4) for name, given in pictures.items() if name != "real test digits"}
    return {
        "metric": "confidence of the judge",
        "value": sure["drawings"],
        "control": {name: sure[name] for name in ("an untrained model's drawings", "noise")},
        "confidence, beside": {name: sure[name] for name in ("mean of each digit", "real training digits", "real test digits")},
        "drawings of each digit": dict(zip(digits.WORDS, counts.tolist(), strict=True)),
        "distance to the nearest real test digit": near,
        "distance to the nearest training digit": {
            "drawings": round(float(distances(drawings, train).mean()), 4),
            "real test digits": round(float(distances(test, train).mean()), 4),
            "smallest, drawings": round(float(distances(drawings, train).min()), 4),
            "smallest, real test digits": round(float(distances(test, train).min()), 4),
        },
        "tolerance": 0.03,
    }


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=7000, short=SHORT)
