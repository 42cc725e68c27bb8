"""Train embedded/digits-cnn, a small residual network that reads single digits cut from scenes.

Run: python data/models/digits-cnn/recipe.py. The network is the judge and the teacher of the other picture models, and the
eye with which the detector begins. The metric is its accuracy on crops of the test split, whose hands and photographs it
never saw. data/models/README.md explains the arguments.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import ResNetConfig, ResNetForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from utils.book import recipes
from utils.embedded import scenes

SHORT = {"steps": 120, "at_least": 0.6}
SIZE, CROPS, BATCH = 32, 12_000, 64
TURN, ZOOM, SHIFT = 15, 0.2, 0.1  # degrees, share, share of the picture's width: see recipes.warped


def start() -> ResNetForImageClassification:
    """Three stages of one block each, whose maps are a quarter, an eighth and a sixteenth as wide as the picture."""
    config = ResNetConfig(
        embedding_size=32, hidden_sizes=[32, 64, 96], depths=[1, 1, 1], layer_type="basic", num_labels=10,
        id2label={k: str(k) for k in range(10)}, label2id={str(k): k for k in range(10)},
    )  # fmt: skip
    return ResNetForImageClassification(config)


def train(args, folder: Path) -> None:
    """Crops of the training split, each time turned, moved, stretched and lit in another way."""
    images, labels, _ = map(torch.from_numpy, scenes.crops("train", CROPS, SIZE))
    model, draw = start(), torch.Generator().manual_seed(args.seed)
    print(f"{model.num_parameters():,} parameters, {CROPS:,} crops", flush=True)

    def loss(step: int) -> torch.Tensor:
        rows = torch.randint(CROPS, (BATCH,), generator=draw)
        shown, _ = recipes.warped(recipes.pixels(images[rows]), draw, TURN, ZOOM, SHIFT)
        return torch.nn.functional.cross_entropy(model(shown).logits, labels[rows], label_smoothing=0.05)

    recipes.fit(model, loss, args.steps, recipes.optimisers(model, rate=3e-3), told=lambda: recipes.reading(model, "validation", 500))
    recipes.save(model, ViTImageProcessorPil(size={"height": SIZE, "width": SIZE}), folder)


def evaluate(folder: Path) -> dict:
    """Accuracy on 1,500 crops of the test split, beside an untrained network of the same form and the commonest digit."""
    found = recipes.reading(ResNetForImageClassification.from_pretrained(folder, dtype=torch.float32), "test")
    control = {"untrained": recipes.reading(start(), "test"), "commonest digit": recipes.commonest_digit("test")}
    return {"metric": "accuracy", "value": found, "control": control}


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=1500, short=SHORT)
