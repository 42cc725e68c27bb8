"""Code that loads from the Hugging Face Hub, tried against a local cache in the Hub's own layout."""

import json
import shutil
from pathlib import Path

import pytest

from utils import ROOT, assets

REVISION = "0123456789abcdef0123456789abcdef01234567"


def snapshot_of(name: str, home: Path) -> Path:
    """Where the Hub's client keeps the files of model `name` under HF_HOME; the folder itself is not made."""
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(REVISION)
    return repository / "snapshots" / REVISION


@pytest.fixture
def hub(tmp_path) -> Path:
    """A HF_HOME that holds the tiny model acme/tiny-bert, as the Hub's client would have stored it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    snapshot = snapshot_of("acme/tiny-bert", tmp_path)
    words = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "river", "bank"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(snapshot)
    config = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=16
    )
    BertModel(config).save_pretrained(snapshot)
    return tmp_path


def test_a_hub_id_loads_from_the_cache_without_network(hub, warm):
    code = (
        "from utils import assets\n"
        "from transformers import AutoModel, AutoTokenizer\n"
        "name = assets.model('acme/tiny-bert')\n"
        "batch = AutoTokenizer.from_pretrained(name)('river bank', return_tensors='pt')\n"
        "print(tuple(AutoModel.from_pretrained(name)(**batch).last_hidden_state.shape))\n"
    )
    done = warm.run(code, hub)
    assert done.stdout.strip() == "(1, 2, 8)", done.stderr[-2000:]


def test_an_id_that_is_not_in_the_cache_is_refused_in_a_sentence(hub, warm):
    done = warm.run("from utils import assets; assets.model('acme/other')", hub)
    assert done.returncode == 1 and "AssetError: 'acme/other' is on the Hugging Face Hub, and this target uses no network" in done.stderr


def test_chapter_11_asks_a_tapas_of_the_hub_by_its_id(tmp_path, warm):
    name = "google/tapas-base-finetuned-wtq"
    shutil.copytree(assets.model("embedded/tapas"), snapshot_of(name, tmp_path))
    code = (
        "from transformers import TapasForQuestionAnswering, TapasTokenizer\n"
        "from utils import assets, tapas\n"
        "from utils.embedded.table_questions import Question, Table\n"
        f"name = assets.model({name!r})\n"
        "model, tokenizer = TapasForQuestionAnswering.from_pretrained(name), TapasTokenizer.from_pretrained(name)\n"
        "table = Table(('name', 'age'), (('Ann Hill', '30'), ('Bob Stone', '50')))\n"
        "print(name, tapas.predict(model.float(), tokenizer, [Question('How old is Bob Stone?', table, (), 0, '', '')]))\n"
    )
    done = warm.run(code, tmp_path)
    assert done.stdout.strip() == f"{name} [(((1, 1),), 0)]", done.stderr[-2000:]


def test_chapter_2_asks_stable_diffusion_of_the_hub_by_its_id(tmp_path, warm):
    """A pipeline with an autoencoder and noise as its target, tiny, in the parts that the published one has."""
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel

    name = "CompVis/stable-diffusion-v1-4"
    snapshot = snapshot_of(name, tmp_path)
    shutil.copytree(assets.model("embedded/digits-text2image"), snapshot, ignore=lambda *_: ["unet", "scheduler", "recipe.py"])
    blocks = {"down_block_types": ("CrossAttnDownBlock2D",), "up_block_types": ("CrossAttnUpBlock2D",)}
    UNet2DConditionModel(
        sample_size=4, in_channels=4, out_channels=4, block_out_channels=(8,), layers_per_block=1, cross_attention_dim=64,
        attention_head_dim=2, norm_num_groups=4, mid_block_type=None, **blocks,
    ).save_pretrained(snapshot / "unet")  # fmt: skip
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, block_out_channels=(8, 8), norm_num_groups=4
    ).save_pretrained(snapshot / "vae")
    PNDMScheduler(skip_prk_steps=True, steps_offset=1).save_pretrained(snapshot / "scheduler")
    index = json.loads((snapshot / "model_index.json").read_text()) | {"vae": ["diffusers", "AutoencoderKL"]}
    (snapshot / "model_index.json").write_text(json.dumps(index))
    cells = json.loads((ROOT / "chapters" / "02_hugging_face_ecosystem.ipynb").read_text(encoding="utf-8"))["cells"]
    painter = next(source for cell in cells if (source := "".join(cell["source"])).startswith("class Painter"))
    code = (
        "import torch, transformers\nfrom diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNet2DConditionModel\n"
        "from torch.nn import functional as F\nfrom transformers import CLIPTextModel\nfrom utils import assets\n\n"
        f"{painter}\n\n"
        f"artist, draw = Painter(assets.model({name!r}), 'cpu'), torch.Generator().manual_seed(0)\n"
        "pictures = artist.draw(['a red three'] * 9, draw, 2.0, 3)\n"
        "artist.loss(pictures[:2], ['a red three', 'a dog'], draw).backward()\n"
        "learns = all(p.grad is not None for p in artist.unet.parameters()) and all(p.grad is None for p in artist.vae.parameters())\n"
        "print(artist.size, tuple(pictures.shape), learns)\n"
    )
    done = warm.run(code, tmp_path)
    assert done.stdout.strip() == "8 (9, 3, 8, 8) True", done.stderr[-2000:]
