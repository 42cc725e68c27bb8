"""Chapter 7: typical mistakes get a sentence that helps, its parts do what they say, and checkpoints of the Hub go through them."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from tests import notebooks
from tests.test_hub import snapshot_of
from utils import ROOT, exercises

NOTEBOOK = ROOT / "chapters" / "07_vision_transformers.ipynb"
definitions = partial(notebooks.definitions, NOTEBOOK, "NAMES = ", "mean, std = ", "processor = ", "COLUMNS = ")


def cut_off(values, mean, std):
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (mean, std))
    return ((values * std + mean) * 255).byte().permute(1, 2, 0).numpy()


def colours_first(values, mean, std):
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (mean, std))
    return ((values * std + mean) * 255).round().byte().numpy()


def discovery(confusion):
    tp = np.diag(confusion)
    return [(t / row, 1 - t / column) for t, row, column in zip(tp, confusion.sum(1), confusion.sum(0), strict=True)]


def soft(class_logits, distillation_logits, teacher_logits, labels):
    loss = torch.nn.functional.cross_entropy
    return (loss(class_logits, labels, ignore_index=-100) + loss(distillation_logits, teacher_logits.softmax(-1))) / 2


def touching_counts_below_zero(one, other):
    shared = (min(one[2], other[2]) - max(one[0], other[0])) * (min(one[3], other[3]) - max(one[1], other[1]))
    area = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return shared / (area - shared)


MISTAKES = [
    ("7.1", cut_off, "round before"),
    ("7.1", colours_first, "the colours are still first"),
    ("7.2", lambda tokens, size, colours=3: tokens.reshape(2, 3, 6, 6), "the pixels are not where they were"),
    ("7.3", lambda confusion: [(r, s) for (r, s) in discovery(confusion)], "false discovery rate"),
    ("7.3", lambda confusion: [(t / c, 0) for t, c in zip(np.diag(confusion), confusion.sum(0), strict=True)], "that is the precision"),
    ("7.4", soft, "that is soft distillation"),
    ("7.5", touching_counts_below_zero, "it is 0.000"),
    ("7.6", lambda cost: cost.argmin(0).tolist(), "twice"),
]


@pytest.mark.parametrize("id, answer, sentence", MISTAKES)
def test_a_typical_mistake_is_named(id, answer, sentence):
    assert sentence in exercises.grade(id, answer)


@pytest.fixture(scope="module")
def defined():
    space = {"__name__": "__main__"}
    exec(definitions(), space)
    return space


def test_shuffling_keeps_every_patch_and_moves_them(defined):
    pictures = torch.rand(2, 3, 12, 12)
    mixed = defined["shuffled"](pictures, 4, torch.Generator().manual_seed(0))
    before, after = (defined["patches"](x, 4)[0] for x in (pictures, mixed))
    assert mixed.shape == pictures.shape and not torch.equal(mixed, pictures)
    assert {tuple(p.tolist()) for p in before} == {tuple(p.tolist()) for p in after}


def test_training_stops_when_nothing_new_comes_and_keeps_the_best_epoch(defined, capsys):
    """Labels that are noise: what is learned does not carry over to the validation part."""
    draw = torch.Generator().manual_seed(0)
    data = {name: (torch.randn(40, 3, 8, 8, generator=draw), torch.randint(4, (40,), generator=draw)) for name in ("train", "validation")}
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
    defined["train_doctor"]("noise", network, data, epochs=200, rate=1e-2)
    said = capsys.readouterr().out
    assert int(said.split("noise: ")[1].split()[0]) < 200
    best = float(said.split("validation loss ")[1].split()[0])
    now = torch.nn.functional.nll_loss(defined["answers"](network, data["validation"][0]).log(), data["validation"][1]).item()
    assert now == pytest.approx(best, abs=1e-3)


def test_the_parts_are_disjoint_and_have_the_same_shares(defined):
    labels = np.repeat([0, 1, 2, 3], (300, 100, 101, 100))
    pictures = np.zeros((601, 4, 4, 3), np.uint8)
    pictures[:, 0, 0, 0], pictures[:, 0, 0, 1] = np.arange(601) % 256, np.arange(601) // 256
    pictures[:, 1, 1, 2] = np.arange(601) % 7
    parts = defined["parts_of"](pictures, labels)
    assert sum(len(y) for _, y in parts.values()) == 601
    shares = [np.bincount(y, minlength=4) / len(y) for _, y in parts.values()]
    assert np.ptp(shares, axis=0).max() < 0.01
    seen = [{tuple(x[:2, 0, 0].tolist()) for x in pictures} for pictures, _ in parts.values()]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_many_models_side_by_side_learn_as_one_alone_would(defined):
    """Two stacked models: each gives what it would give by itself."""
    models = [defined["VisionTransformer"](16, 4, colours=1) for _ in range(2)]
    weights, _ = torch.func.stack_module_state(models)
    x = torch.randn(2, 5, 1, 16, 16)
    both = torch.func.vmap(lambda w, x: torch.func.functional_call(models[0], w, (x,)))(weights, x)
    assert torch.allclose(both[1], models[1](x[1]), atol=1e-5)


def tiny(kind: str):
    from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher, ViTConfig, ViTForImageClassification

    sizes = dict(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=4, num_labels=5
    )
    if kind == "vit":
        return ViTForImageClassification(ViTConfig(**sizes))
    return DeiTForImageClassificationWithTeacher(DeiTConfig(**sizes))


@pytest.mark.parametrize(
    ("name", "kind", "heads"), [("google/vit-base-patch16-224", "vit", 1), ("facebook/deit-base-distilled-patch16-224", "deit", 2)]
)
def test_a_checkpoint_of_the_hub_equals_our_class_and_gets_a_new_head(name, kind, heads, tmp_path, warm):
    tiny(kind).save_pretrained(snapshot_of(name, tmp_path))
    code = definitions() + (
        f"\nlibrary = AutoModelForImageClassification.from_pretrained(assets.model({name!r})).eval()\n"
        "x = torch.randn(2, 3, 16, 16)\n"
        "logits = ours(library)(x).mean(0)\n"
        f"doctor = Published({name!r}, 4)\n"
        "print('found', len(ours(library)(x)), (logits - library(x).logits).abs().max().item() < 1e-4, tuple(doctor(x).shape))\n"
    )
    done = warm.run(code, tmp_path)
    assert f"found {heads} True (2, 4)" in done.stdout, done.stderr[-2000:]


def test_a_detr_of_the_hub_loads_without_timm_and_finds_on_own_boxes(tmp_path, warm):
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig
    from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil

    name = "facebook/detr-resnet-50"
    snapshot = snapshot_of(name, tmp_path)
    shutil.copy(snapshot.parents[1] / "refs" / "main", snapshot.parents[1] / "refs" / "no_timm")
    eye = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", out_features=["stage2"])
    config = DetrConfig(
        backbone_config=eye, num_queries=4, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, id2label={0: "cat", 1: "dog"}, label2id={"cat": 0, "dog": 1},
    )  # fmt: skip
    DetrForObjectDetection(config).save_pretrained(snapshot)
    DetrImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(snapshot)
    street = tmp_path / "street"
    street.mkdir()
    for n in range(3):
        Image.new("RGB", (60 + n, 40), (9 * n, 0, 0)).save(street / f"{n}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(3)],
        "categories": [{"id": 5, "name": "dog"}],
        "annotations": [{"image_id": n, "category_id": 5, "bbox": [5, 5, 20, 20]} for n in range(3)],
    }
    (street / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    code = definitions() + f"\nprint('found', score_on({str(street)!r}, {name!r}, 'no_timm'))\n"
    done = warm.run(code, tmp_path)
    assert "found ({'AP':" in done.stdout, done.stderr[-2000:]
    content["categories"] = [{"id": 5, "name": "wolf"}]
    (street / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    refused = warm.run(code, tmp_path)
    assert "ValueError: The detector does not know wolf; rename your classes to some of its own: cat, dog" in refused.stderr
