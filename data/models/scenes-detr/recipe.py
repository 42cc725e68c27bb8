"""Train embedded/scenes-detr, which finds the digits of a scene: boxes, digits, confidences.

Run: python data/models/scenes-detr/recipe.py. Its eye is that of embedded/digits-cnn. The metric is COCO's average precision
at IoU .50 on test scenes, whose hands and photographs it never saw. data/models/README.md explains the arguments.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import DetrConfig, DetrForObjectDetection, ResNetBackbone, ResNetConfig
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil

from utils import assets, detection
from utils.book import recipes
from utils.embedded import scenes

SHORT = {"steps": 600, "at_least": 0.15}
SCENES, BATCH, MOST = 24_000, 16, 4
EYE, OUT = "embedded/digits-cnn", ["stage2"]  # a map of 8 x 8 places, 64 channels
WIDTH, QUERIES = 64, 12


def start() -> DetrForObjectDetection:
    """DETR (Carion et al., 2020) in small, with the eye of digits-cnn; matrices begin as its authors have them (Glorot)."""
    eye = ResNetConfig.from_pretrained(assets.model(EYE), out_features=OUT, dtype="float32")
    config = DetrConfig(
        backbone_config=eye, num_queries=QUERIES, d_model=WIDTH, encoder_layers=2, decoder_layers=3, encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH, encoder_attention_heads=4, decoder_attention_heads=4, dropout=0.0, auxiliary_loss=True,
        eos_coefficient=0.3,  # twelve queries for one to four digits: not as many see nothing as in the paper, where it is .1
        id2label={k: str(k) for k in range(10)}, label2id={str(k): k for k in range(10)},
    )  # fmt: skip
    model = DetrForObjectDetection(config)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and "backbone" not in name:
            torch.nn.init.xavier_uniform_(module.weight)
    torch.nn.init.normal_(model.model.query_position_embeddings.weight)
    known = ResNetBackbone.from_pretrained(assets.model(EYE), out_features=OUT, dtype=torch.float32).state_dict()
    missing, _ = model.model.backbone.model.load_state_dict(known, strict=False)
    if missing:
        raise ValueError(f"{EYE} has no weights for {', '.join(missing)}.")
    return model.requires_grad_(True)  # the library would keep the eye as it is


def pack(split: str, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images (count, 64, 64, 3) uint8, masks (count, 4, 64, 64) bool, one for each digit, and digits (count, 4), -1 for none."""
    found = scenes.load(split, count)
    masks, digits = torch.zeros(count, MOST, 64, 64, dtype=torch.bool), torch.full((count, MOST), -1)
    for k, one in enumerate(found):
        masks[k, : len(one.items)] = torch.from_numpy(one.instances)
        digits[k, : len(one.items)] = torch.tensor([item.digit for item in one.items])
    return torch.from_numpy(scenes.stack(found)).to(masks.device), masks, digits


def boxes(masks: torch.Tensor) -> torch.Tensor:
    """The corners of the box around each mask, in shares of the picture: (n, 4, height, width) → (n, 4, 4)."""
    size, columns, rows = masks.shape[-1], masks.any(2).byte(), masks.any(3).byte()
    ends = [columns.argmax(2), rows.argmax(2), size - columns.flip(2).argmax(2), size - rows.flip(2).argmax(2)]
    return torch.stack(ends, -1) / size


@torch.inference_mode()
def score(model, images: torch.Tensor, masks: torch.Tensor, digits: torch.Tensor) -> dict[str, float]:
    """COCO's AP, AP50 and AP75."""
    model.eval()
    process, found = DetrImageProcessorPil(), []
    for part in images.split(100):
        found += process.post_process_object_detection(model(recipes.pixels(part)), threshold=0.0, target_sizes=[(64, 64)] * len(part))
    found = [{name: value.cpu() for name, value in one.items()} for one in found]
    return {name: round(value, 4) for name, value in detection.coco(found, truth(masks.cpu(), digits.cpu())).items()}


def truth(masks: torch.Tensor, digits: torch.Tensor) -> list[dict]:
    return [{"boxes": 64 * box[seen], "labels": digit[seen]} for box, digit, seen in zip(boxes(masks), digits, digits >= 0, strict=True)]


class Places(torch.nn.Linear):
    """A help for training that is thrown away: each of the 8 × 8 places of the encoder says what it shows, and the box of that.

    With the set loss alone, queries have to learn where to look before anything else is learned from the picture. That the
    encoder is taught place by place is what detectors do that choose their queries from it (Zhu et al., 2021).
    """

    def __init__(self):
        super().__init__(WIDTH, 11 + 4)
        self.register_buffer("weight_of_class", torch.tensor([0.3] + [1.0] * 10))

    def loss(self, encoded: torch.Tensor, masks: torch.Tensor, digits: torch.Tensor) -> torch.Tensor:
        """encoded: (n, 64, width) → cross-entropy of background or digit, and the distance of the corners, as one number."""
        share, which = torch.nn.functional.adaptive_avg_pool2d(masks.float(), 8).flatten(2).max(1)  # (n, 64)
        ink = share > 0.06
        classes = torch.where(ink, digits.gather(1, which) + 1, 0)
        middle = (torch.arange(8) + 0.5) / 8
        middle = torch.stack([middle.repeat(8), middle.repeat_interleave(8)], 1).repeat(1, 2)  # x, y, x, y of each place
        wanted = boxes(masks).gather(1, which[..., None].expand(-1, -1, 4)) - middle
        said, corners = self(encoded).split([11, 4], -1)
        away = (corners - wanted).abs().sum(-1)[ink].mean()
        return torch.nn.functional.cross_entropy(said.transpose(1, 2), classes, self.weight_of_class) + 2 * away


def train(args, folder: Path) -> None:
    """Training scenes, each time turned, moved, stretched and lit anew; what is half outside afterwards is not asked for."""
    images, masks, digits = pack("train", SCENES)
    validation = pack("validation", 200)
    model, places, draw = start(), Places(), torch.Generator(args.device).manual_seed(args.seed)
    area = masks.sum((2, 3))
    print(f"{model.num_parameters():,} parameters, {SCENES:,} scenes", flush=True)

    def loss(step: int) -> torch.Tensor:
        rows = torch.randint(SCENES, (BATCH,), generator=draw)
        shown, seen = recipes.warped(recipes.pixels(images[rows]), draw, 8, 0.12, 0.05, masks[rows])
        there = (digits[rows] >= 0) & (2 * seen.sum((2, 3)) >= area[rows])
        corners = boxes(seen)
        middles = torch.cat([(corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]], -1)
        labels = [{"class_labels": d[t], "boxes": b[t]} for d, b, t in zip(digits[rows], middles, there, strict=True)]
        found = model(shown, labels=labels)
        return found.loss + 2 * places.loss(found.encoder_last_hidden_state, seen, digits[rows])

    optimisers = recipes.optimisers(model, rate=1e-3, muon=1e-2)
    optimisers[0].add_param_group({"params": list(places.parameters())})
    recipes.fit(model, loss, args.steps, optimisers, told=lambda: str(score(model, *validation)))
    process = DetrImageProcessorPil(size={"height": 64, "width": 64}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_pad=False)
    recipes.save(model, process, folder)


def evaluate(folder: Path) -> dict:
    """AP50 on 400 test scenes, beside an untrained decoder on the same eye, a blind guess, and right boxes with another's digits.

    The blind guess: every digit once, in the mean box of training, the commonest first.
    """
    data = images, masks, digits = pack("test", 400)
    found = score(DetrForObjectDetection.from_pretrained(folder, dtype=torch.float32), *data)
    _, known_masks, known = pack("train", 400)
    box = 64 * boxes(known_masks)[known >= 0].mean(0)
    often = torch.bincount(known[known >= 0], minlength=10) / (known >= 0).sum()
    blind = [{"boxes": box.expand(10, 4), "labels": torch.arange(10), "scores": often}] * len(images)
    real = truth(masks, digits)
    draw = torch.Generator().manual_seed(0)
    shuffled = [
        {"boxes": one["boxes"], "labels": torch.randint(10, one["labels"].shape, generator=draw), "scores": torch.ones(len(one["labels"]))}
        for one in real
    ]
    control = {
        "untrained": score(start(), *data)["AP50"],
        "mean box": round(detection.coco(blind, real)["AP50"], 4),
        "right boxes, digits by chance": round(detection.coco(shuffled, real)["AP50"], 4),
    }
    return {"metric": "AP50", "value": found["AP50"], "control": control, "AP75": found["AP75"], "AP": found["AP"]}


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=9000, short=SHORT)
