"""Train embedded/plates-segformer, which says of each pixel of a dish which food it shows, the plate, or the table.

Run: python data/models/plates-segformer/recipe.py. The metric is the mean intersection over union of the ten classes on
test dishes, whose pieces and tables it never saw. data/models/README.md explains the arguments.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

from utils import detection
from utils.book import recipes
from utils.embedded import plates

SHORT = {"steps": 150, "dishes": 400, "at_least": 0.35}
SIZE, BATCH = 96, 16
WEIGHTS = [0.5, 0.5] + [1.0] * 8  # in the loss: table and plate have most of the pixels


def start() -> SegformerForSemanticSegmentation:
    """Four stages whose maps are a quarter, an eighth, a sixteenth and a thirty-second as wide as the picture."""
    config = SegformerConfig(
        depths=[1, 2, 2, 1], hidden_sizes=[32, 64, 96, 128], strides=[4, 2, 2, 2], patch_sizes=[7, 3, 3, 3], sr_ratios=[4, 2, 1, 1],
        num_attention_heads=[1, 2, 4, 4], mlp_ratios=[2, 2, 2, 2], decoder_hidden_size=64, hidden_dropout_prob=0.0,
        drop_path_rate=0.0, classifier_dropout_prob=0.0, initializer_range=0.1,
        id2label=dict(enumerate(plates.LABELS)), label2id={name: k for k, name in enumerate(plates.LABELS)},
    )  # fmt: skip
    return SegformerForSemanticSegmentation(config)


def pack(split: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (count, 96, 96, 3) uint8 and masks (count, 1, 96, 96) int64."""
    found = plates.load(split, count, size=SIZE)
    return torch.from_numpy(np.stack([one.image for one in found])), torch.from_numpy(np.stack([one.mask[None] for one in found]))


@torch.inference_mode()
def predict(model, images: torch.Tensor) -> torch.Tensor:
    """The class of each pixel: (n, 96, 96)."""
    model.eval()
    logits = torch.cat([model(recipes.pixels(part)).logits for part in images.split(50)])
    return torch.nn.functional.interpolate(logits, images.shape[1:3], mode="bilinear", align_corners=False).argmax(1)


def score(model, images: torch.Tensor, masks: torch.Tensor) -> float:
    return round(detection.mean_iou(predict(model, images), masks[:, 0], len(plates.LABELS)), 4)


def train(args, folder: Path) -> None:
    """Dishes of the training split, each time mirrored, turned, moved, stretched and lit in another way."""
    images, masks = pack("train", args.dishes)
    validation = pack("validation", 60)
    model, draw = start(), torch.Generator().manual_seed(args.seed)
    weight = torch.tensor(WEIGHTS)
    print(f"{model.num_parameters():,} parameters, {args.dishes:,} dishes", flush=True)

    def loss(step: int) -> torch.Tensor:
        rows = torch.randint(args.dishes, (BATCH,), generator=draw)
        shown, wanted = recipes.pixels(images[rows]), masks[rows]
        mirror, upside, turned = (torch.rand(3, generator=draw) < 0.5).tolist()
        axes = [axis for axis, yes in ((3, mirror), (2, upside)) if yes]
        shown, wanted = shown.flip(axes), wanted.flip(axes)
        if turned:
            shown, wanted = shown.transpose(2, 3), wanted.transpose(2, 3)
        light = torch.empty(BATCH, 3, 1, 1).uniform_(0.9, 1.1, generator=draw) * torch.empty(BATCH, 1, 1, 1).uniform_(
            0.9, 1.1, generator=draw
        )
        shown, wanted = recipes.warped(((shown + 1) * light - 1), draw, 10, 0.1, 0.04, wanted, light=False)
        logits = torch.nn.functional.interpolate(model(shown).logits, shown.shape[2:], mode="bilinear", align_corners=False)
        return torch.nn.functional.cross_entropy(logits, wanted[:, 0], weight)

    optimisers = recipes.optimisers(model, rate=4e-3, muon=2e-2)
    recipes.fit(model, loss, args.steps, optimisers, told=lambda: score(model, *validation))
    recipes.save(model, SegformerImageProcessorPil(size={"height": SIZE, "width": SIZE}, image_mean=[0.5] * 3, image_std=[0.5] * 3), folder)


def evaluate(folder: Path) -> dict:
    """Mean IoU on 200 test dishes, beside an untrained network, the commonest class of each place, and a rule for plate and food.

    The rule knows what no picture tells: where the food lies. It says of all of it that it is the commonest food.
    """
    images, masks = pack("test", 200)
    known = pack("validation", 150)[1][:, 0]
    model = SegformerForSemanticSegmentation.from_pretrained(folder, dtype=torch.float32)
    found = predict(model, images)
    by_class = detection.class_iou(found, masks[:, 0], len(plates.LABELS))
    usual = torch.nn.functional.one_hot(known, len(plates.LABELS)).sum(0).argmax(-1)  # (96, 96)
    food = 2 + int(torch.bincount(known.ravel(), minlength=len(plates.LABELS))[2:].argmax())
    control = {
        "untrained": score(start(), images, masks),
        "commonest class of each place": detection.mean_iou(usual.expand_as(found), masks[:, 0], len(plates.LABELS)),
        "commonest food wherever food is": detection.mean_iou(torch.where(masks < 2, masks, food), masks, len(plates.LABELS)),
    }
    return {
        "metric": "mean IoU", "value": round(float(np.mean(by_class)), 4), "control": {k: round(v, 4) for k, v in control.items()},
        "by_class": dict(zip(plates.LABELS, by_class.round(3).tolist(), strict=True)),
    }  # fmt: skip


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=800, short=SHORT, options={"dishes": 1500})
