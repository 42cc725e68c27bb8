"""What the recipes of data/models have in common: the command line, the loop, saving, the last line. Imported by recipes.

A recipe brings two functions, `train(args, folder)` and `evaluate(folder)`, and calls `main`. data/models/README.md says
what each has to do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from utils import ROOT, assets

WARM_UP = 0.05  # share of the steps over which the learning rate rises


def main(
    file: str, train: Callable, evaluate: Callable, steps: int, short: dict[str, float], options: dict[str, object] | None = None
) -> None:
    """The command line of the recipe in `file`; see data/models/README.md.

    train(args, folder) writes the model's files into an empty folder; evaluate(folder) → {"metric", "value", "control"}.
    steps: the default; short: what `--short` sets instead, and the bound its metric has to keep. options: further
    arguments and their defaults, `--last 3000` for {"last": 3000}.
    Without --out the files take the place of the shipped ones once everything is done, checksum and card with them.
    """
    here, module = Path(file).resolve().parent, sys.modules["__main__"]
    parser = argparse.ArgumentParser(description=(module.__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=steps, help="updates; the default makes the shipped model")
    for name, default in (options or {}).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--out", type=Path, help="an own folder for the files; left out, they replace the shipped ones when all is done")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="where it trains: cpu, or cuda for pictures' models; it evaluates on the cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="a shortened training, never shipped: it needs --out")
    parser.add_argument("--evaluate", type=Path, metavar="FOLDER", help="train nothing, evaluate this one")
    args = parser.parse_args()
    if args.short:
        if args.out is None:
            parser.error("--short makes no model to ship: add --out FOLDER.")
        vars(args).update({k: v for k, v in short.items() if k in vars(args)})

    import torch

    if library := sys.modules.get("transformers"):
        library.logging.set_verbosity_error()
        library.logging.disable_progress_bar()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.evaluate:
        print(json.dumps(evaluate(args.evaluate)))
        return
    scratch = ROOT / "_build" / "models"
    scratch.mkdir(parents=True, exist_ok=True)
    cpu, clock = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=scratch, prefix=f"{here.name}-", ignore_cleanup_errors=True) as temporary:
        try:
            with torch.device(args.device) if args.device != "cpu" else contextlib.nullcontext():  # new tensors and models are made there
                train(args, Path(temporary))
            seconds = {"cpu_seconds": round(time.process_time() - cpu), "seconds": round(time.perf_counter() - clock)}
            found = _judged(evaluate, Path(temporary), here) | {"steps": args.steps, "threads": args.threads} | seconds
        except KeyboardInterrupt:
            print("Interrupted: nothing was replaced.", file=sys.stderr)
            raise SystemExit(130) from None
        if args.out is None:
            ship(Path(temporary), here, found)
        else:
            move(Path(temporary), args.out)
    print(json.dumps(found | ({"short": short} if args.short else {})))


def _judged(evaluate: Callable, folder: Path, here: Path) -> dict:
    """evaluate(folder); when that fails, what was trained is kept aside."""
    try:
        return evaluate(folder)
    except Exception:
        kept = folder.parent / f"{here.name}-not-evaluated"
        move(folder, kept)
        print(f"The evaluation failed; what was trained is in {kept.relative_to(ROOT).as_posix()}.", file=sys.stderr)
        raise


def optimisers(model, rate: float, muon: float | None = None, decay: float = 0.01, filters: bool = False) -> list:
    """AdamW for everything; with muon, a learning rate, Muon (Jordan et al., 2024) for the matrices between the embeddings.

    Muon makes every direction of a matrix's update equally large; it learns from fewer tokens. Its rate has to be
    found: ten times AdamW's for the GPT-2 of this repository, half of AdamW's for its T5. Embeddings and vectors stay with AdamW.
    filters: whether convolutions, (out, in, height, width), count as matrices of (out, in · height · width), but for those from and
    to fewer than eight channels.
    """
    from torch import nn, optim

    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim == 2 and id(p) not in tables and muon]
    kernels = [p for p in model.parameters() if p.requires_grad and p.ndim == 4 and min(p.shape[:2]) >= 8 and muon and filters]
    chosen = {id(p) for p in (*matrices, *kernels)}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
    adam = optim.AdamW(rest, lr=rate, weight_decay=decay, betas=(0.9, 0.98))
    flat = _flat_muon(kernels, muon, decay) if kernels else []
    return [adam, *([optim.Muon(matrices, lr=muon, weight_decay=decay)] if matrices else []), *flat]


def _flat_muon(kernels: list, rate: float, decay: float) -> list:
    """Muon, which takes matrices only, for convolutions: it sees each of them as a matrix over the same memory."""
    from torch import nn, optim

    class FlatMuon(optim.Muon):
        def step(self, closure=None):
            for kernel, view in zip(kernels, self.param_groups[0]["params"], strict=True):
                view.grad = None if kernel.grad is None else kernel.grad.reshape(view.shape)
            return super().step(closure)

    return [FlatMuon([nn.Parameter(kernel.data.view(len(kernel), -1)) for kernel in kernels], lr=rate, weight_decay=decay)]


def fit(model, loss: Callable, steps: int, optimisers: list, every: int = 100, told: Callable | None = None) -> None:
    """So many updates with loss(step), a scalar tensor: warm-up, then a cosine to zero; gradients clipped at length 1.

    A line of progress after `every` steps: the mean loss since the last one, and what told() returns.
    """
    import torch
    from transformers import get_cosine_schedule_with_warmup

    schedules = [get_cosine_schedule_with_warmup(o, max(1, round(WARM_UP * steps)), steps) for o in optimisers]
    started, losses = time.perf_counter(), []
    for step in range(1, steps + 1):
        model.train()
        value = loss(step)
        model.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for each in (*optimisers, *schedules):
            each.step()
        losses.append(value.item())
        if step % every == 0 or step == steps:
            more = f"  {told()}" if told else ""
            mean = sum(losses) / len(losses)
            print(f"{step:6} of {steps}  {time.perf_counter() - started:6.0f} s  loss {mean:.3f}{more}", flush=True)
            losses = []


def collate(rows: list) -> dict:
    """Token ids of source and target, a pair each → input_ids, attention_mask, labels (rows, longest); labels are -100 beyond the end."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    source = pad_sequence([torch.tensor(row[0]) for row in rows], batch_first=True, padding_value=0)
    labels = pad_sequence([torch.tensor(row[1]) for row in rows], batch_first=True, padding_value=-100)
    return {"input_ids": source, "attention_mask": (source != 0).long(), "labels": labels}


def batches(rows: list, size: int, rng, pool: int):
    """Batches without end, collated: of `pool` at a time, pairs of about the same length come together. rng: a random.Random."""
    rows = list(rows)
    while True:
        rng.shuffle(rows)
        for at in range(0, max(1, len(rows) - pool * size + 1), pool * size):
            some = sorted(rows[at : at + pool * size], key=lambda r: len(r[0]) + len(r[1]))
            cut = [some[i : i + size] for i in range(0, len(some), size)]
            rng.shuffle(cut)
            yield from map(collate, cut)


def pixels(images):
    """Pictures as the models of this repository take them: (n, height, width, 3) uint8 → (n, 3, height, width) from -1 to 1.

    What an image processor does with the default mean and deviation of ViT, 0.5, for many pictures at once.
    """
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def reading(model, split: str, count: int = 1500, size: int = 32) -> float:
    """Share of the crops of a split of embedded/scenes that a classifier of digits reads rightly, four decimals."""
    import torch

    from utils.embedded import scenes

    images, labels, _ = map(torch.from_numpy, scenes.crops(split, count, size))
    model.eval()
    with torch.inference_mode():
        found = torch.cat([model(pixels(part)).logits.argmax(-1) for part in images.split(500)])
    return round((found == labels).float().mean().item(), 4)


def commonest_digit(split: str, count: int = 1500) -> float:
    """What `reading` gives for always saying the digit that is commonest in training, four decimals."""
    import numpy as np

    from utils.embedded import scenes

    known = np.bincount(scenes.crops("train", 3000, 8)[1]).argmax()
    return round(float((scenes.crops(split, count, 8)[1] == known).mean()), 4)


def warped(shown, draw, turn: float = 10, zoom: float = 0.15, shift: float = 0.08, masks=None, light: bool = True):
    """Each picture anew: turned by up to `turn` degrees, `zoom` larger, smaller or longer, moved by `shift` of its width.

    shown: (n, 3, height, width) from -1 to 1; masks: (n, m, height, width), of whole numbers, which go along. Beyond the
    border its last pixels go on, and masks are 0. With `light` the colours change places, and contrast and light change.
    draw: a torch.Generator. Returns both.
    """
    import torch

    def between(limit, *shape):
        return (2 * torch.rand(*shape, generator=draw) - 1) * limit

    n = len(shown)
    angle, slant = between(math.radians(turn), n), between(math.radians(turn), n)
    across, down = torch.exp(between(zoom, 2, n))
    theta = torch.stack(
        [
            torch.stack([across * angle.cos(), -down * (angle + slant).sin(), between(2 * shift, n)], 1),
            torch.stack([across * angle.sin(), down * (angle + slant).cos(), between(2 * shift, n)], 1),
        ],
        1,
    )
    grid = torch.nn.functional.affine_grid(theta, shown.shape, align_corners=False)
    shown = torch.nn.functional.grid_sample(shown, grid, padding_mode="border", align_corners=False)
    if masks is not None:
        masks = torch.nn.functional.grid_sample(masks.float(), grid, mode="nearest", align_corners=False).to(masks.dtype)
    if light:
        shown = shown[:, torch.randperm(3, generator=draw)] * torch.exp(between(0.25, n, 1, 1, 1)) + between(0.2, n, 1, 1, 1)
    return shown.clamp(-1, 1), masks


def save(model, tokenizer, folder: Path) -> None:
    """Config, tokenizer (or image processor) and the weights in half precision as safetensors; the model itself stays as it is."""
    import copy

    copy.deepcopy(model).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def ship(folder: Path, here: Path, found: dict) -> None:
    """Put finished files in the place of the shipped ones in `here`, with their checksum and the card's numbers."""
    move(folder, here)
    if (here / "README.md").exists():
        describe(here / "README.md", found)
    sums = assets.checksums() | {p.relative_to(here.parent).as_posix(): assets.checksum(p) for p in here.rglob("*.safetensors")}
    text = "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))
    partial = assets.MODELS / "SHA256SUMS.tmp"
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, assets.MODELS / "SHA256SUMS")


def move(folder: Path, to: Path) -> None:
    """All files of a folder and of those inside it into another one, each whole or not at all."""
    to.mkdir(parents=True, exist_ok=True)
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        place = to / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.tmp")
        shutil.move(path, partial)  # another disk, perhaps
        os.replace(partial, place)


def describe(path: Path, found: dict) -> None:
    """Write metric, control and CPU-seconds into the card's head, in the Hub's model-index; the text stays."""
    from huggingface_hub import EvalResult, ModelCard

    card = ModelCard.load(path)
    same = card.data.eval_results[0] if card.data.eval_results else None
    kind = same.metric_type if same else found["metric"]
    numbers = [
        (kind, found["metric"], found["value"]),
        *((kind, f"control: {name}", value) for name, value in found["control"].items()),
        ("cpu_seconds", "CPU-seconds of training", found["cpu_seconds"]),
    ]
    card.data.model_name = path.parent.name
    card.data.eval_results = [
        EvalResult(
            task_type=same.task_type if same else card.data.pipeline_tag,
            dataset_type=same.dataset_type if same else "embedded",
            dataset_name=same.dataset_name if same else "held out, see below",
            metric_type=kind,
            metric_name=name,
            metric_value=value,
        )
        for kind, name, value in numbers
    ]
    text = str(card)  # the client's save() ends lines as the system does
    path.write_text(text, encoding="utf-8", newline="\n")
