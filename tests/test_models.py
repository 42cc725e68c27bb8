"""The small models: what ships is what the list of checksums means, and a recipe replaces it whole or not at all."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from utils import ROOT, assets
from utils.book import BookError, key, models, recipes

COIN = ROOT / "tests" / "fixtures" / "models" / "coin"
NAMES = models.names()


class Shelf:
    """A book of its own, with the model `coin` (one weight), and the command that works on it."""

    def __init__(self, root: Path):
        self.root, self.folder = root, root / "data" / "models" / "coin"
        shutil.copytree(COIN, self.folder)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen:
        environment = {**os.environ, "BOOK_ROOT": str(self.root), "PYTHONPATH": str(key.CODE.parent), "COLUMNS": "200", **env}
        command = [sys.executable, "-u", "-m", "utils.book", "models", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8"}
        return subprocess.Popen(command, cwd=self.root, env=environment, **pipes)

    def book(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output = process.communicate(timeout=120)[0]
        return process.returncode, output

    def files(self) -> dict[str, bytes]:
        """What ships: all files of the model, and the list of checksums."""
        found = {p.relative_to(self.folder).as_posix(): p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}
        return found | {"SHA256SUMS": (self.folder.parent / "SHA256SUMS").read_bytes()}

    def card(self) -> ModelCard:
        return ModelCard.load(self.folder / "README.md")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    shelf = Shelf(tmp_path_factory.mktemp("models") / "Bücher regal")
    shelf.code, shelf.output = shelf.book("train", "coin")
    return shelf


def test_training_shows_its_progress_and_ships_weights_checksum_and_card(trained):
    assert trained.code == 0, trained.output
    assert re.search(r"80 of 100 .*loss 0\.\d+", trained.output)
    assert json.loads(trained.files()["config.json"]) == {"steps": 100}
    results = trained.card().data.eval_results
    assert [r.metric_name for r in results] == ["error", "control: fair coin", "CPU-seconds of training"]
    assert results[0].metric_value < 0.1 and results[1].metric_value == 0.3
    assert "thrown by the recipe" in trained.card().text
    digest = assets.checksum(trained.folder / "model.safetensors")
    assert trained.files()["SHA256SUMS"].decode() == f"{digest}  coin/model.safetensors\n"


def test_the_list_shows_what_a_model_does_reaches_and_costs_and_the_total(trained):
    code, output = trained.book("list")
    assert code == 0
    assert "Knows how often a coin falls heads." in " ".join(re.sub(r"[│┃]", " ", output).split()) and "fair coin 0.3" in output
    assert re.search(r"total .* of at most 60 MB", output)


def test_verify_evaluates_what_ships_and_trains_a_shortened_version(trained):
    before = trained.files()
    code, output = trained.book("verify", "coin")
    assert code == 0, output
    assert "✓ shipped error" in output and "✓ shortened training" in output
    assert trained.files() == before


def test_verify_fails_where_the_card_promises_more(trained, monkeypatch):
    monkeypatch.setattr(assets, "MODELS", trained.folder.parent)
    shipped = {"metric": "error", "value": 0.3, "control": {"fair coin": 0.3}}
    short = {"metric": "error", "value": 0.1, "control": {"fair coin": 0.3}, "cpu_seconds": 1, "short": {"steps": 4, "at_most": 0.2}}
    monkeypatch.setattr(models, "_last_line", lambda name, *arguments: short if "--short" in arguments else shipped)
    with pytest.raises(BookError, match=r"not as the cards say: coin: shipped error 0\.3, card 0\.0\d* ± "):
        models.verify(["coin"])


def test_a_shortened_training_whose_control_keeps_the_bound_shows_nothing():
    done = {"metric": "error", "value": 0.1, "control": {"fair coin": 0.15}, "cpu_seconds": 1, "short": {"steps": 4, "at_most": 0.2}}
    assert models._on_its_way(done) == ["the control “fair coin” reaches 0.15, too"]
    assert models._on_its_way(done | {"control": {"fair coin": 0.3}}) == []
    named = done | {"control": {"fair coin": 0.15, "no coin": 0.3}}
    assert models._on_its_way(named | {"short": done["short"] | {"controls": ["no coin"]}}) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_an_interrupted_training_keeps_what_ships(trained):
    before = trained.files()
    process = trained.start("train", "coin", HANG="1")
    for line in process.stdout:
        if "hanging" in line:
            break
    os.kill(process.pid, signal.SIGINT)  # the recipe, which a terminal would interrupt as well, is told by the command
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and "nothing was replaced" in output
    assert trained.files() == before
    assert list((trained.root / "_build" / "models").iterdir()) == []


def test_a_recipe_that_fails_is_a_sentence_and_keeps_what_ships(trained):
    before = trained.files()
    output = trained.start("train", "coin", BREAK="1").communicate(timeout=60)[0]
    assert "Error: the recipe of coin ended with code 1; what is shipped stays as it was." in output
    assert trained.files() == before
    assert "what was trained is in _build/models/coin-not-evaluated" in output
    kept = trained.root / "_build" / "models" / "coin-not-evaluated"
    assert (kept / "model.safetensors").exists()
    shutil.rmtree(kept)


def test_an_unknown_model_is_refused_with_those_there_are(trained):
    code, output = trained.book("train", "dice")
    assert code == 1 and "there is no model 'dice' with a recipe; there are: coin." in output


def test_corrupt_weights_are_refused(tmp_path, monkeypatch, trained):
    folder = tmp_path / "models"
    shutil.copytree(trained.folder.parent, folder)
    monkeypatch.setattr(assets, "MODELS", folder)
    assert assets.model("embedded/coin") == str(folder / "coin")
    assert assets.weights("embedded/coin") == folder / "coin" / "model.safetensors"
    file = folder / "coin" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    for load in (assets.model, assets.weights):
        with pytest.raises(assets.AssetError, match=r"expected \w{12}…, found SHA-256 \w{12}…\. .*models train coin"):
            load("embedded/coin")
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(assets.AssetError, match="expected nothing listed in SHA256SUMS"):
        assets.model("embedded/coin")


def test_weights_without_a_config_are_found_by_weights_alone(tmp_path, monkeypatch, trained):
    folder = tmp_path / "models"
    shutil.copytree(trained.folder.parent, folder)
    (folder / "coin" / "config.json").unlink()
    monkeypatch.setattr(assets, "MODELS", folder)
    assert assets.weights("embedded/coin").exists()
    with pytest.raises(assets.AssetError, match="no embedded model"):
        assets.model("embedded/coin")


def test_muon_takes_the_matrices_between_the_embeddings():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=4, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0))
    adam, muon = recipes.optimisers(model, 1e-3, muon=1e-2)
    names = {id(p): name for name, p in model.named_parameters()}
    taken = [names[id(p)] for group in muon.param_groups for p in group["params"]]
    assert [n.removeprefix("transformer.h.0.") for n in taken] == [
        "attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"
    ]  # fmt: skip
    assert len(recipes.optimisers(model, 1e-3)) == 1
    assert sum(len(g["params"]) for g in adam.param_groups) + len(taken) == len(names)


def test_muon_takes_convolutions_as_matrices_when_told_to():
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 16, 3), torch.nn.Conv2d(16, 1, 3))
    assert len(recipes.optimisers(model, 1e-3, muon=1e-2)) == 1
    adam, muon = recipes.optimisers(model, 1e-3, muon=1e-2, decay=0.0, filters=True)
    kernel = model[1].weight
    before = kernel.detach().clone()
    model(torch.rand(2, 3, 9, 9)).sum().backward()
    muon.step()

    def even(matrix):  # how far its directions are of one length: 1 for all equally long
        lengths = torch.linalg.svdvals(matrix.reshape(16, -1))
        return lengths.mean() / lengths.max()

    assert even(kernel.detach() - before) > 2 * even(kernel.grad)
    assert sum(p.numel() for g in adam.param_groups for p in g["params"]) + kernel.numel() == sum(p.numel() for p in model.parameters())


def test_a_pipeline_of_several_parts_ships_and_each_part_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "MODELS", tmp_path / "models")
    (tmp_path / "made" / "unet").mkdir(parents=True)
    (tmp_path / "made" / "model_index.json").write_text("{}")
    (tmp_path / "made" / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"numbers")
    here = tmp_path / "models" / "painter"
    recipes.ship(tmp_path / "made", here, {})
    assert assets.model("embedded/painter") == str(here)
    assert list(assets.checksums()) == ["painter/unet/diffusion_pytorch_model.safetensors"]
    assets.files("painter")[0].write_bytes(b"others")
    with pytest.raises(assets.AssetError, match="painter/unet/diffusion_pytorch_model.safetensors is not the file"):
        assets.model("embedded/painter")


# ---- the models that ship


def test_what_ships_is_listed_and_fits():
    there = {p.relative_to(assets.MODELS).as_posix() for p in assets.MODELS.rglob("*.safetensors")}
    assert set(assets.checksums()) == there
    assert sum(models.read(name).megabytes for name in NAMES) <= models.MOST_MB
    assert {p.parent.name for p in assets.MODELS.glob("*/recipe.py")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_where_from_and_how_good(name):
    assert assets.files(name)  # each one as listed
    model = models.read(name)
    assert model.licence and model.what.endswith(".") and model.cpu_seconds
    assert model.value is not None and model.control and model.value not in model.control.values()
    text = ModelCard.load(assets.MODELS / name / "README.md").text
    for row in ("architecture", "parameters", "data", "training"):
        assert f"\n| {row} |" in text, f"the card of {name} has no row {row}"
    assert re.search(r"licen[cs]e|MIT|BSD|Apache|Unicode|public domain", text) and "Limits:" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_has_the_common_command_line_and_a_shortened_version(name):
    recipe = (assets.MODELS / name / "recipe.py").read_text(encoding="utf-8")
    assert "recipes.main(__file__, train, evaluate, steps=" in recipe and "short=SHORT" in recipe
    assert re.search(r"^SHORT = .*at_(least|most)", recipe, re.MULTILINE)


def test_a_model_without_a_card_is_refused(tmp_path, monkeypatch, trained):
    shutil.copytree(trained.folder.parent, tmp_path / "models")
    (tmp_path / "models" / "coin" / "README.md").unlink()
    monkeypatch.setattr(assets, "MODELS", tmp_path / "models")
    with pytest.raises(BookError, match=r"data/models/coin has no README\.md"):
        models.read("coin")


def test_a_mask_goes_where_its_picture_goes():
    import torch

    mask = torch.zeros(8, 1, 64, 64, dtype=torch.int64)
    mask[:, :, 20:44, 26:38] = 7
    shown = (mask > 0).float().expand(-1, 3, -1, -1) * 2 - 1  # white on black
    turned, moved = recipes.warped(shown, torch.Generator().manual_seed(0), 20, 0.2, 0.1, mask, light=False)
    assert moved.dtype == torch.int64 and set(moved.unique().tolist()) == {0, 7}
    both, either = ((turned[:, :1] > 0) & (moved > 0)).sum(), ((turned[:, :1] > 0) | (moved > 0)).sum()
    assert both / either > 0.97 and ((moved > 0) & (mask > 0)).sum() / ((moved > 0) | (mask > 0)).sum() < 0.9


@pytest.mark.parametrize("count", [2, 90])
def test_batches_hold_every_pair_once_and_put_equal_lengths_together(count):
    rows = [([1] * (1 + i % 30), [2] * (1 + i // 3)) for i in range(count)]
    source = recipes.batches(rows, 8, random.Random(0), pool=20)
    once = list(itertools.islice(source, -(-count // 8)))
    assert sum(len(batch["labels"]) for batch in once) == count
    found = sorted((m.sum().item(), (y != -100).sum().item()) for b in once for m, y in zip(b["attention_mask"], b["labels"], strict=True))
    assert found == sorted((len(s), len(t)) for s, t in rows)
    padding = sum((batch["labels"] == -100).sum().item() for batch in once)
    assert count == 2 or padding < sum(max(len(t) for _, t in rows) - len(t) for _, t in rows) / 2
