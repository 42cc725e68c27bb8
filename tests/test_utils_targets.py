"""Targets, open_chapter() and assets: what fits runs, what does not says why in one sentence."""

import os
import random

import numpy as np
import pytest
import torch

from utils import assets, open_chapter, targets
from utils.targets import TargetError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "TARGETS", tmp_path)
    for name in ("cpu", "cuda"):
        (tmp_path / f"{name}.yml").write_text((targets.ROOT / "targets" / f"{name}.yml").read_text(encoding="utf-8"))
    return tmp_path


def test_the_default_target_comes_first_and_all_are_readable():
    assert targets.names()[0] == "cpu" and {"cuda", "mps"} <= set(targets.names())
    for name in targets.names():
        assert targets.load(name).parameters_for(1)["target"] == name


def test_a_chapters_own_parameters_win_over_the_general_ones(folder):
    with (folder / "cpu.yml").open("a", encoding="utf-8") as file:
        file.write("\nparameters: {seed: 1, steps: 5}\nchapters: {16: {steps: 9}}\n")
    target = targets.load("cpu")
    assert target.parameters_for(16) == {"target": "cpu", "seed": 1, "steps": 9}
    assert target.parameters_for(1) == {"target": "cpu", "seed": 1, "steps": 5}


def test_a_target_that_extends_another_keeps_what_it_does_not_change(folder):
    (folder / "room.yml").write_text("extends: cuda\nnetwork: false\nchapters: {4: {draws: 9}, 13: {steps: 1}}\n", encoding="utf-8")
    room, parent = targets.load("room"), targets.load("cuda")
    assert room.name == "room" and room.device == "cuda" and parent.network and not room.network
    assert room.parameters_for(4) == {**parent.parameters_for(4), "target": "room", "draws": 9}
    assert room.chapters[13] == {"steps": 1} and room.parameters_for(7) == {**parent.parameters_for(7), "target": "room"}
    assert parent.chapters == targets.load("cuda").chapters  # untouched


def test_the_target_without_network_names_no_model_of_the_hub():
    from utils.book import plan

    offline = targets.load("cuda-offline")
    for job in plan.jobs(plan.choose([]), offline, {}):
        named = [v for v in {**job.defaults, **job.parameters}.values() if isinstance(v, str) and "/" in v]
        unused = {"facebook/detr-resnet-50"}  # of chapter 7: for a reader's own pictures alone
        assert all(name.startswith("embedded/") for name in set(named) - unused), (job.chapter.number, named)


@pytest.mark.parametrize(
    ("change", "says"),
    [("\nsped: 3\n", "unknown key 'sped'"), ("\n  - [\n", "not valid YAML")],
)
def test_a_malformed_target_is_named(folder, change, says):
    with (folder / "cpu.yml").open("a", encoding="utf-8") as file:
        file.write(change)
    with pytest.raises(TargetError, match=says):
        targets.load("cpu")


def test_a_target_that_lacks_a_key_names_it(folder):
    (folder / "cpu.yml").write_text("summary: none\n", encoding="utf-8")
    with pytest.raises(TargetError, match="lacks 'device'"):
        targets.load("cpu")


def test_an_unknown_target_names_the_nearest():
    with pytest.raises(TargetError, match="Did you mean 'cuda'"):
        targets.load("cudda")


def test_a_machine_without_a_gpu_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TargetError, match="needs an NVIDIA GPU"):
        open_chapter(1, target="cuda")


def test_too_little_memory_is_told(monkeypatch):
    from dataclasses import replace

    assert "memory" in targets.why_not(replace(targets.load("cpu"), memory_gb=1e6))
    assert targets.why_not(targets.load("cpu")) is None


def test_threads_are_shared_out(monkeypatch):
    monkeypatch.setenv("BOOK_THREADS", "1")
    open_chapter(1)
    assert torch.get_num_threads() == 1
    monkeypatch.delenv("BOOK_THREADS")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert targets.threads(targets.load("cpu")) == targets.load("cpu").threads


def test_the_run_card_says_what_matters():
    chapter = open_chapter(16, seed=3)
    for part in ("16", "cpu", "float32", "seed", "3", torch.__version__, "not used"):
        assert part in chapter._repr_html_() and part in repr(chapter)
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("seed", [-1, 1.5, "1"])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="non-negative integer"):
        open_chapter(1, seed=seed)


def test_seeding_is_local():
    chapter, other = open_chapter(1, seed=0), open_chapter(1, seed=1)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    with chapter.seeded("model"):
        first = random.random(), np.random.rand(), torch.rand(1)
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected, "outside nothing may change"
    with chapter.seeded("model"):
        assert (random.random(), np.random.rand(), torch.rand(1)) == first
    with chapter.seeded("another"):
        assert torch.rand(1) != first[2]
    with other.seeded("model"):
        assert torch.rand(1) != first[2]
    assert torch.equal(torch.rand(3, generator=chapter.generator("x")), torch.rand(3, generator=chapter.generator("x")))


def test_scratch_stays_inside_the_repository():
    one, other = open_chapter(1).scratch, open_chapter(1, seed=1).scratch
    assert targets.ROOT / "_build" in one.parents and one != other, "two seeds run side by side"


def test_the_embedded_encoder_is_the_one_that_was_pinned(monkeypatch, tmp_path):
    assert (assets.Path(assets.model("embedded/minilm-l6")) / "config.json").exists()
    monkeypatch.setattr(assets, "_MINILM", (assets._MINILM[0], "0" * 64))
    with pytest.raises(assets.AssetError, match="expected SHA-256 000000000000…, found 53aa51172d14"):
        assets.model("embedded/minilm-l6")
    monkeypatch.setattr(assets, "_MINILM", ("no_such_package", "0" * 64))
    with pytest.raises(assets.AssetError, match="not installed"):
        assets.model("embedded/minilm-l6")


def test_hub_ids_pass_through_where_there_is_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert assets.model("bert-base-uncased") == "bert-base-uncased"
    assert assets.model("facebook/bart-base") == "facebook/bart-base"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: (p / "model.bin").write_text("x"), "no config.json"),
        (lambda p: [(p / n).write_text("{}") for n in ("config.json", "pytorch_model.bin")], "a pickle"),
        (lambda p: (p / "config.json").write_text("{}"), "holds no weights"),
    ],
)
def test_a_readers_folder_is_checked_for_what_it_is(tmp_path, make, says):
    make(tmp_path)
    with pytest.raises(assets.AssetError, match=says):
        assets.model(str(tmp_path))


def test_a_readers_folder_that_is_a_model_is_taken(tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    assert assets.model(str(tmp_path)) == str(tmp_path)
    with pytest.raises(assets.AssetError, match="is a file"):
        assets.model(str(tmp_path / "config.json"))


@pytest.mark.parametrize(
    ("name", "says"),
    [("embedded/minilm-l7", "Did you mean 'embedded/minilm-l6'"), ("./nowhere", "no folder"), ("a/b/c", "no folder")],
)
def test_an_unknown_asset_says_what_there_is(name, says):
    with pytest.raises(assets.AssetError, match=says):
        assets.model(name)
