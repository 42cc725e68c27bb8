"""Train embedded/digits-text2image, which draws a handwritten digit in a colour from words: "a red three".

Run: python data/models/digits-text2image/recipe.py. Stable Diffusion (Rombach et al., 2022) in small, without its autoencoder:
a text encoder, a U-Net that looks at its words, a schedule of noise. It prints in how many drawings a judge and a rule find the
digit and the colour that were asked for, in pairs of the two that it never saw. data/models/README.md explains the arguments.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.training_utils import EMAModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn import functional as F
from transformers import AutoModelForImageClassification, CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from utils import assets
from utils.book import recipes
from utils.embedded import cards, digits

SHORT = {"steps": 400, "at_least": 0.1}
CARDS, BATCH, TIMES, WORDS = 12_000, 64, 1000, 8
LEFT_OUT = 0.1  # share of the prompts that are left out, for guidance (Ho and Salimans, 2022)
GUIDANCE, DDIM_STEPS = 1.5, 25
RARE = ("sks", "zwx", "qev")  # words for things that nobody has shown it


def start() -> tuple[CLIPTextModel, UNet2DConditionModel]:
    """A text encoder of two layers and a U-Net at random: 16 × 16, 8 × 8 and 4 × 4 pixels, the last two look at the words."""
    size = len(vocabulary())
    text = CLIPTextConfig(
        vocab_size=size, hidden_size=64, intermediate_size=256, projection_dim=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=WORDS, initializer_factor=5.0, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=cards.SIZE, in_channels=3, out_channels=3, block_out_channels=(32, 64, 64), layers_per_block=1,
        norm_num_groups=8, cross_attention_dim=64, attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    return CLIPTextModel(text), unet


def vocabulary() -> dict[str, int]:
    """Every word that a prompt may hold, and a few that none holds in training."""
    words = ("a", "an", *cards.NAMES, *digits.WORDS, "digit", *RARE)
    return {word: place for place, word in enumerate(("<pad>", "<start>", "<end>", "<unk>", *words))}


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, between <start> and <end>, filled up to eight as CLIP's is to 77."""
    words = Tokenizer(models.WordLevel(vocabulary(), unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)])
    names = {"bos_token": "<start>", "eos_token": "<end>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=WORDS, **names)


def prompts(drawn: cards.Cards, draw: np.random.Generator) -> list[str]:
    """What is said of each card: mostly colour and digit, sometimes only one of the two, or neither."""
    said = draw.choice(4, len(drawn.images), p=(0.7, 0.1, 0.1, 0.1))
    return [
        cards.prompt(cards.NAMES[c] if part in (0, 1) else None, digits.WORDS[d] if part in (0, 2) else None)
        for part, c, d in zip(said, drawn.colours, drawn.digits, strict=True)
    ]


def train(args, folder: Path) -> None:
    """What is learned is the velocity between picture and noise (Salimans and Ho, 2022), mostly at the very noisy times.

    With the noise as target the loss hardly weighs the times at which alone the words matter; the model then learns the
    colour and not the digit.
    """
    drawn, draw = cards.coloured("train", CARDS), np.random.default_rng(args.seed)
    pictures = torch.tensor(drawn.images).permute(0, 3, 1, 2) * 2 - 1
    cut, words = tokenizer(), vocabulary()
    ids = torch.tensor(cut(prompts(drawn, draw), padding="max_length").input_ids)
    nothing = torch.tensor(cut("", padding="max_length").input_ids)
    scheduler = DDIMScheduler(num_train_timesteps=TIMES, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=True)
    text, unet = start()
    both = torch.nn.ModuleList([text, unet])
    average = EMAModel(both.parameters(), decay=0.998)
    print(f"{text.num_parameters():,} + {unet.num_parameters():,} parameters, {len(words)} words, {CARDS:,} cards", flush=True)

    def loss(step: int) -> torch.Tensor:
        average.step(both.parameters())
        rows = torch.randint(CARDS, (BATCH,))
        left_out = torch.rand(BATCH, 1) < LEFT_OUT
        noise = torch.randn(BATCH, *pictures.shape[1:])
        times = (TIMES * torch.rand(BATCH) ** 0.6).long()
        noisy = scheduler.add_noise(pictures[rows], noise, times)
        said = text(torch.where(left_out, nothing, ids[rows])).last_hidden_state
        return F.mse_loss(unet(noisy, times, said).sample, scheduler.get_velocity(pictures[rows], noise, times))

    recipes.fit(both, loss, args.steps, recipes.optimisers(both, rate=2e-3, muon=2e-2, decay=0.0, filters=True), every=100)
    average.copy_to(both.parameters())
    for name, model in (("text_encoder", text), ("unet", unet)):
        copy.deepcopy(model).half().save_pretrained(folder / name)
    cut.save_pretrained(folder / "tokenizer")
    scheduler.save_pretrained(folder / "scheduler")
    parts = {"text_encoder": ("transformers", "CLIPTextModel"), "tokenizer": ("transformers", "PreTrainedTokenizerFast"),
             "unet": ("diffusers", "UNet2DConditionModel"), "scheduler": ("diffusers", "DDIMScheduler")}  # fmt: skip
    index = json.dumps({"_class_name": "DiffusionPipeline"} | parts, indent=1)
    (folder / "model_index.json").write_text(index + "\n", encoding="utf-8", newline="\n")


@torch.inference_mode()
def draw(text, unet, scheduler, asked: list[str], guidance: float = GUIDANCE, steps: int = DDIM_STEPS, seed: int = 0) -> np.ndarray:
    """One drawing for each prompt with DDIM (Song et al., 2021): (prompts, 16, 16, 3) from 0 to 1."""
    said = text(tokenizer()(["", *asked], padding="max_length", return_tensors="pt").input_ids).last_hidden_state
    said = torch.cat([said[:1].expand(len(asked), -1, -1), said[1:]])
    noisy = torch.randn(len(asked), 3, cards.SIZE, cards.SIZE, generator=torch.Generator().manual_seed(seed))
    scheduler.set_timesteps(steps)
    for time in scheduler.timesteps:
        without, with_words = unet(torch.cat([noisy, noisy]), time, said).sample.chunk(2)
        noisy = scheduler.step(without + guidance * (with_words - without), time, noisy).prev_sample
    return ((noisy + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()


@torch.inference_mode()
def matches(images: np.ndarray, wanted: list[tuple[str, int]]) -> dict[str, float]:
    """Shares of drawings with the digit (the judge's word), the colour (by rule) and both that were wanted, three decimals."""
    judge = AutoModelForImageClassification.from_pretrained(assets.model("embedded/digits-judge"), dtype=torch.float32).eval()
    read = judge(torch.tensor(cards.found_ink(images))[:, None]).logits.argmax(-1).numpy()
    digit = read == np.array([d for _, d in wanted])
    colour = np.array(cards.NAMES)[cards.found_colours(images)] == np.array([c for c, _ in wanted])
    return {name: round(float(hit.mean()), 3) for name, hit in (("digit", digit), ("colour", colour), ("both", digit & colour))}


def evaluate(folder: Path) -> dict:
    """Colour and digit both right in 200 drawings of pairs never seen; beside it pairs seen, real cards, and what cannot draw.

    Controls: an untrained model, and drawings held against the prompt of another.
    """
    parts = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32), UNet2DConditionModel.from_pretrained(folder / "unet")
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    unseen = list(cards.UNSEEN) * 20
    seen = [(c, d) for c in cards.NAMES for d in range(10) if (c, d) not in cards.UNSEEN] * 2

    def ask(parts, wanted, **options) -> np.ndarray:
        return draw(*(part.eval() for part in parts), scheduler, [cards.prompt(c, digits.WORDS[d]) for c, d in wanted], **options)

    drawings = ask(parts, unseen)
    torch.manual_seed(0)
    real = cards.coloured("test", 400)
    found = matches(drawings, unseen)
    return {
        "metric": "prompt match",
        "value": found["both"],
        "control": {
            "an untrained model": matches(ask(start(), unseen[:100]), unseen[:100])["both"],
            "the prompt of another drawing": matches(drawings, unseen[1:] + unseen[:1])["both"],
        },
        "unseen pairs": found,
        "seen pairs": matches(ask(parts, seen, seed=1), seen),
        "unseen pairs, without guidance": matches(ask(parts, unseen[:100], guidance=1.0), unseen[:100]),
        "real test cards": matches(real.images, list(zip((cards.NAMES[c] for c in real.colours), real.digits.tolist(), strict=True))),
        "tolerance": 0.05,
    }


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=3500, short=SHORT)
