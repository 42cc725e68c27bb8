"""Chapter 8: typical mistakes get a sentence that helps, own pictures are compared, and published checkpoints can take part."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests import notebooks
from tests.test_hub import snapshot_of
from utils import ROOT, exercises, own_pictures

NOTEBOOK = ROOT / "chapters" / "08_vision_tasks.ipynb"
definitions = partial(notebooks.definitions, NOTEBOOK, "VIT = ", "FAMILIES = ", "WORDS = ", "LINES = ")


def false_discovery(truth, said, label):
    hit, false = ((truth == label) & (said == label)).sum(), ((truth != label) & (said == label)).sum()
    return false / (hit + false)


def one_step_only(x0, noise, betas, t):
    return (1 - betas[t]).sqrt() * x0 + betas[t].sqrt() * noise


def same_frame(frames, patches):
    frame = torch.arange(frames * patches) // patches
    return frame[:, None] == frame


MISTAKES = [
    ("8.1", false_discovery, "false discovery rate"),
    ("8.1", lambda truth, said, label: (said[truth == label] == label).mean(), "this is the recall"),
    ("8.2", lambda truth, found: (truth & found).sum() / max((truth | found).sum(), 1), "this is IoU"),
    ("8.3", one_step_only, "goes only the last step"),
    ("8.3", lambda x0, noise, betas, t: noise * 0, "the picture"),
    ("8.4", lambda x, eps, bar_t, bar_s: (x - (1 - bar_t) ** 0.5 * eps) / bar_t**0.5, "put back the noise"),
    ("8.5", lambda p, t, scale: F.cross_entropy(scale * p @ t.T, torch.arange(len(p))), "only the pictures choose"),
    ("8.6", same_frame, "within a frame"),
]


@pytest.mark.parametrize("id, answer, sentence", MISTAKES)
def test_a_typical_mistake_is_named(id, answer, sentence):
    assert sentence in exercises.grade(id, answer)


@pytest.fixture(scope="module")
def defined():
    space = {"__name__": "__main__"}
    exec(definitions(), space)
    return space


def test_a_shift_moves_to_the_right_and_down(defined):
    picture = torch.zeros(1, 1, 32, 32)
    picture[0, 0, 10, 12] = 1
    assert defined["shifted"](picture, 3, 2)[0, 0].nonzero().tolist() == [[12, 15]]
    assert defined["shifted"](picture, -8, 0)[0, 0].nonzero().tolist() == [[10, 4]]


def test_masks_are_spoilt_as_said(defined):
    mask = np.ones((1, 9, 9), dtype=np.int64)
    mask[0, 2:7, 2:7] = 4
    assert (defined["eroded"](mask, 1) == 4).sum() == 9
    assert (defined["renamed"](mask, 4, 6) == 6).sum() == 25
    assert (defined["moved"](mask, 2)[0, 2:7, 4:9] == 4).all()


def test_sketches_are_ten_different_drawings(defined):
    drawn = torch.stack([defined["sketch"](digit) for digit in range(10)])
    assert drawn.shape == (10, 1, 16, 16) and drawn.min() >= -1 and drawn.max() <= 1
    assert len({tuple(one.flatten().tolist()) for one in drawn}) == 10


def test_own_pictures_are_compared(defined, tmp_path):
    draw = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(16):
            noise = draw.normal(level, 20, (40, 48, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / "mine" / name / f"{number}.png")
    own = own_pictures.load(str(tmp_path / "mine"), size=32)
    table = defined["own_comparison"](defined["pixels"](own.images), torch.from_numpy(own.labels), 2, 25)
    assert set(table.index) == {"commonest class", "ResNet", "DeiT", "ViT"} and table.loc["ViT", "accuracy"] > 0.8


TINY = """
from tests.test_chapter_08 import definitions
space = {"__name__": "__main__"}
exec(definitions(), space)
import torch, numpy as np, types
few = {"load": lambda split, count, load=space["plates"].load: load(split, 4)}  # four hundred dishes take seconds to draw
space["plates"] = types.SimpleNamespace(**vars(space["plates"]) | few)
from diffusers import DDPMScheduler
space["processor"], space["model"] = space["load_segmenter"]("nvidia/mit-b0")
space["learn_plates"](1, batch=2)
print(tuple(space["mask_logits"](space["processor"], space["model"], [np.zeros((96, 96, 3), dtype=np.uint8)] * 2).shape))
own = DDPMScheduler()
space |= {"unet": None, "library": own, "bars": own.alphas_cumprod, "betas": own.betas, "real_digits": torch.zeros(1, 1, 16, 16)}
print(tuple(space["paint_with"]("google/ddpm-cifar10-32", 2, 4).shape), space["unet"])
print(len(space["published_clip"]("openai/clip-vit-base-patch32", [np.zeros((32, 32, 3), dtype=np.uint8)] * 2, ["a red", "a blue"])))
"""


def test_published_checkpoints_take_part(tmp_path, warm):
    from diffusers import DDPMScheduler, UNet2DModel
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast, SegformerConfig, SegformerForImageClassification
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

    folder = snapshot_of("nvidia/mit-b0", tmp_path)  # an encoder with the head of another task
    encoder = SegformerConfig(hidden_sizes=[8] * 4, depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8)
    SegformerForImageClassification(encoder).save_pretrained(folder)
    SegformerImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    folder = snapshot_of("google/ddpm-cifar10-32", tmp_path)
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (8,), "norm_num_groups": 4}
    UNet2DModel(sample_size=32, in_channels=3, out_channels=3, layers_per_block=1, **blocks).save_pretrained(folder)
    DDPMScheduler().save_pretrained(folder)
    folder = snapshot_of("openai/clip-vit-base-patch32", tmp_path)
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1}
    sides = {"text_config": small | ends | {"vocab_size": 5}, "vision_config": small | {"image_size": 32, "patch_size": 16}}
    CLIPModel(CLIPConfig(**sides, projection_dim=8)).save_pretrained(folder)
    words = {w: i for i, w in enumerate(["<s>", "</s>", "a", "red", "blue"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="</s>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="</s>", eos_token="</s>", bos_token="<s>", unk_token="</s>")
    CLIPProcessor(CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}), tokenizer).save_pretrained(
        folder
    )
    done = warm.run(TINY, tmp_path)
    assert done.stdout.splitlines()[-3:] == ["(2, 10, 96, 96)", "(2, 3, 32, 32) None", "2"], done.stderr[-3000:]
