"""The small models that draw, and the one that judges drawings: loaded as chapters load them, they do what their cards say."""

from __future__ import annotations

import runpy

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel, UNet2DModel
from transformers import AutoModelForImageClassification, AutoTokenizer, CLIPTextModel

from utils import assets
from utils.book import models
from utils.embedded import cards, digits


@pytest.fixture(scope="module")
def judge():
    folder = assets.model("embedded/digits-judge")
    return AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()


@torch.inference_mode()
def chances(judge, pictures: np.ndarray) -> torch.Tensor:
    """What the judge gives each digit, (pictures, 10); what is missing to 1 is its chance for "none"."""
    return judge(torch.tensor(pictures)[:, None]).logits.softmax(-1)[:, :10]


def test_the_judge_reads_hands_it_never_saw_and_takes_noise_for_nothing(judge):
    pictures, labels = cards.ink("test")
    right = chances(judge, pictures).argmax(-1).numpy() == labels
    assert right.mean() == pytest.approx(models.read("digits-judge").value, abs=0.01)
    noise = np.random.default_rng(0).random((100, 16, 16), dtype=np.float32)
    assert chances(judge, noise).amax(-1).mean() < 0.05


@torch.inference_mode()
def test_the_diffusion_model_draws_all_ten_digits_as_sure_as_its_card_says(judge):
    folder = assets.model("embedded/digits-ddpm")
    model, scheduler = UNet2DModel.from_pretrained(folder).eval(), DDIMScheduler.from_pretrained(folder)
    noisy = torch.randn(60, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    scheduler.set_timesteps(20)
    for time in scheduler.timesteps:
        noisy = scheduler.step(model(noisy, time).sample, time, noisy).prev_sample
    found = chances(judge, ((noisy[:, 0] + 1) / 2).clamp(0, 1).numpy())
    assert found.amax(-1).mean() > models.read("digits-ddpm").value - 0.08
    assert set(found.argmax(-1).tolist()) == set(range(10))


def test_the_painter_draws_pairs_of_colour_and_digit_that_it_never_saw():
    recipe = runpy.run_path(str(assets.MODELS / "digits-text2image" / "recipe.py"))
    place, wanted = assets.model("embedded/digits-text2image"), list(cards.UNSEEN) * 3
    text = CLIPTextModel.from_pretrained(place, subfolder="text_encoder", dtype=torch.float32).eval()
    unet, scheduler = (
        kind.from_pretrained(place, subfolder=part) for kind, part in ((UNet2DConditionModel, "unet"), (DDIMScheduler, "scheduler"))
    )
    asked = [cards.prompt(colour, digits.WORDS[digit]) for colour, digit in wanted]
    drawings = recipe["draw"](text, unet.eval(), scheduler, asked, steps=10, seed=3)
    assert recipe["matches"](drawings, wanted)["both"] > models.read("digits-text2image").value - 0.15
    assert recipe["matches"](drawings, wanted[1:] + wanted[:1])["both"] < 0.1


def test_the_words_of_dreambooth_are_known_to_the_tokenizer_and_were_in_no_prompt():
    recipe = runpy.run_path(str(assets.MODELS / "digits-text2image" / "recipe.py"))
    tokenizer = AutoTokenizer.from_pretrained(assets.model("embedded/digits-text2image"), subfolder="tokenizer")
    assert tokenizer.unk_token_id not in tokenizer("a pink sks")["input_ids"] and tokenizer.unk_token_id in tokenizer("a hut")["input_ids"]
    drawn = cards.coloured("train", 500)
    said = {word for prompt in recipe["prompts"](drawn, np.random.default_rng(0)) for word in prompt.split()}
    assert not said & set(recipe["RARE"]) and {"three", "pink", "digit"} <= said
