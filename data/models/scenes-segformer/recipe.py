"""Train embedded/scenes-segformer, which says of each pixel of a scene which digit it shows, or background.

Run: python data/models/scenes-segformer/recipe.py. It sees single digits first, then scenes. The metric is the mean
intersection over union of the eleven classes on test scenes, whose hands and photographs it never saw.
data/models/README.md explains the arguments.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

from utils import detection
from utils.book import recipes
from utils.embedded import scenes

SHORT = {"steps": 400, "at_least": 0.15}  # 300 steps reached .22
SCENES, BATCH, CLOSE = 6000, 16, 0.5  # CLOSE: the share of the steps spent on single digits
BACKGROUND = 0.3  # its weight in the loss while single digits are shown; else 1, for strokes would come out too wide
CLASSES = ("background", *"0123456789")


def start() -> SegformerForSemanticSegmentation:
    """Four stages whose maps are a half, a quarter, an eighth and a sixteenth as wide as the picture: strokes are 3 pixels wide."""
    config = SegformerConfig(
        depths=[1, 1, 2, 2], hidden_sizes=[16, 32, 64, 96], strides=[2, 2, 2, 2], patch_sizes=[7, 3, 3, 3], sr_ratios=[8, 4, 1, 1],
        num_attention_heads=[1, 2, 4, 4], mlp_ratios=[3, 3, 3, 3], decoder_hidden_size=48, hidden_dropout_prob=0.0,
        drop_path_rate=0.0, classifier_dropout_prob=0.0, initializer_range=0.1,
        id2label=dict(enumerate(CLASSES)), label2id={name: k for k, name in enumerate(CLASSES)},
    )  # fmt: skip
    return SegformerForSemanticSegmentation(config)


def pack(split: str, count: int) -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, int]]]:
    """Images (count, 64, 64, 3) uint8, classes (count, 1, 64, 64) int64, and the middles (scene, x, y) of all digits."""
    found = scenes.load(split, count)
    middles = [(k, item.box[0] + item.box[2] // 2, item.box[1] + item.box[3] // 2) for k, one in enumerate(found) for item in one.items]
    return torch.from_numpy(scenes.stack(found)), torch.stack([torch.from_numpy(one.classes)[None] for one in found]), middles


@torch.inference_mode()
def predict(model, images: torch.Tensor) -> torch.Tensor:
    """The class of each pixel: (n, 64, 64)."""
    model.eval()
    logits = torch.cat([model(recipes.pixels(part)).logits for part in images.split(100)])
    return torch.nn.functional.interpolate(logits, images.shape[1:3], mode="bilinear", align_corners=False).argmax(1)


def score(model, images: torch.Tensor, classes: torch.Tensor) -> float:
    return round(detection.mean_iou(predict(model, images), classes[:, 0], len(CLASSES)), 4)


def train(args, folder: Path) -> None:
    """Windows of 32 pixels around single digits, then whole scenes, each turned, moved, stretched and lit anew."""
    images, classes, middles = pack("train", SCENES)
    validation = pack("validation", 150)[:2]
    model, draw = start(), torch.Generator().manual_seed(args.seed)
    weight = torch.tensor([BACKGROUND] + [1.0] * 10)
    print(f"{model.num_parameters():,} parameters, {SCENES:,} scenes", flush=True)

    def window(k: int, x: int, y: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = (min(max(at - 16, 0), 32) for at in (x, y))
        return images[k, y : y + 32, x : x + 32], classes[k, :, y : y + 32, x : x + 32]

    def loss(step: int) -> torch.Tensor:
        close = step <= CLOSE * args.steps
        if close:
            rows = torch.randint(len(middles), (2 * BATCH,), generator=draw).tolist()
            shown, wanted = map(torch.stack, zip(*(window(*middles[row]) for row in rows), strict=True))
        else:
            rows = torch.randint(SCENES, (BATCH,), generator=draw)
            shown, wanted = images[rows], classes[rows]
        shown, wanted = recipes.warped(recipes.pixels(shown), draw, 12, 0.15, 0.06, wanted)
        logits = torch.nn.functional.interpolate(model(shown).logits, shown.shape[2:], mode="bilinear", align_corners=False)
        return torch.nn.functional.cross_entropy(logits, wanted[:, 0], weight if close else None)

    optimisers = recipes.optimisers(model, rate=4e-3, muon=2e-2)
    recipes.fit(model, loss, args.steps, optimisers, told=lambda: score(model, *validation))
    recipes.save(model, SegformerImageProcessorPil(size={"height": 64, "width": 64}, image_mean=[0.5] * 3, image_std=[0.5] * 3), folder)


def evaluate(folder: Path) -> dict:
    """Mean IoU on 400 test scenes, beside an untrained network, background everywhere, and every digit found but called a 0."""
    import numpy as np

    images, classes, _ = pack("test", 400)
    model = SegformerForSemanticSegmentation.from_pretrained(folder, dtype=torch.float32)
    found = predict(model, images)
    by_class = detection.class_iou(found, classes[:, 0], len(CLASSES))
    control = {
        "untrained": score(start(), images, classes),
        "all background": detection.mean_iou(torch.zeros_like(classes), classes, len(CLASSES)),
        "every digit a 0": detection.mean_iou((classes > 0).long(), classes, len(CLASSES)),
    }
    ink = detection.mean_iou(found > 0, classes[:, 0] > 0, 2)
    return {
        "metric": "mean IoU", "value": round(float(np.mean(by_class)), 4), "control": {k: round(v, 4) for k, v in control.items()},
        "digit or background": round(ink, 4), "by_class": dict(zip(CLASSES, by_class.round(3).tolist(), strict=True)),
    }  # fmt: skip


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=1500, short=SHORT)
