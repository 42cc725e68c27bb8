"""Train embedded/digits-deit, a small vision transformer that learns to read digits from labels and from embedded/digits-cnn.

Run: python data/models/digits-deit/recipe.py. The metric is its accuracy on crops of the test split, whose hands and photographs
it never saw. data/models/README.md explains the arguments.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher, ResNetForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from utils import assets
from utils.book import recipes
from utils.embedded import scenes

SHORT = {"steps": 300, "at_least": 0.4}
SIZE, CROPS, BATCH = 32, 12_000, 48
TURN, ZOOM, SHIFT = 15, 0.2, 0.1  # degrees, share, share of the picture's width: see recipes.warped


def start() -> DeiTForImageClassificationWithTeacher:
    """Patches of 4 x 4 pixels, so 64 tokens, the class token and the distillation token. Matrices begin with a deviation of 1/√d."""
    config = DeiTConfig(
        image_size=SIZE, patch_size=4, hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=192,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.125, num_labels=10,
        id2label={k: str(k) for k in range(10)}, label2id={str(k): k for k in range(10)},
    )  # fmt: skip
    return DeiTForImageClassificationWithTeacher(config)


def train(args, folder: Path) -> None:
    """One token is taught by the label, one by what the teacher says of the same warped crop: hard distillation (Touvron et al., 2021)."""
    images, labels, _ = map(torch.from_numpy, scenes.crops("train", CROPS, SIZE))
    model, draw = start(), torch.Generator().manual_seed(args.seed)
    teacher = ResNetForImageClassification.from_pretrained(assets.model("embedded/digits-cnn"), dtype=torch.float32).eval()
    print(f"{model.num_parameters():,} parameters, {CROPS:,} crops", flush=True)

    def loss(step: int) -> torch.Tensor:
        rows = torch.randint(CROPS, (BATCH,), generator=draw)
        shown, _ = recipes.warped(recipes.pixels(images[rows]), draw, TURN, ZOOM, SHIFT)
        with torch.no_grad():
            said = teacher(shown).logits.argmax(-1)
        found, entropy = model(shown), torch.nn.functional.cross_entropy
        return (entropy(found.cls_logits, labels[rows], label_smoothing=0.05) + entropy(found.distillation_logits, said)) / 2

    optimisers = recipes.optimisers(model, rate=2e-3, muon=1e-2)
    recipes.fit(model, loss, args.steps, optimisers, told=lambda: recipes.reading(model, "validation", 500))
    recipes.save(model, ViTImageProcessorPil(size={"height": SIZE, "width": SIZE}), folder)


def evaluate(folder: Path) -> dict:
    """Accuracy on 1,500 crops of the test split, beside an untrained model of the same form and the commonest digit."""
    found = recipes.reading(DeiTForImageClassificationWithTeacher.from_pretrained(folder, dtype=torch.float32), "test")
    control = {"untrained": recipes.reading(start(), "test"), "commonest digit": recipes.commonest_digit("test")}
    return {"metric": "accuracy", "value": found, "control": control}


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=600, short=SHORT)
