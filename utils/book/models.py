"""`book models`: the small models of this repository, listed with what they cost and reach, trained, verified."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.table import Table

from utils import ROOT, assets
from utils.book import BookError, key
from utils.book.progress import console

MOST_MB = 60  # all models together, so that a clone stays quick
TOLERANCE = 0.02  # relative: how far a shipped model's metric may be from its card on another machine


@dataclass
class Model:
    """What the card and the weights say; `metric`, `value` and `control` are those of the card's model-index."""

    name: str
    what: str
    licence: str | None
    parameters: int
    megabytes: float
    metric: str | None = None
    value: float | None = None
    control: dict[str, float] = field(default_factory=dict)
    cpu_seconds: float | None = None
    chapters: list[str] = field(default_factory=list)


def list_all() -> None:
    """One row per model, and the total beside what it may be."""
    table = Table()
    right = ("parameters", "MB", "held out", "CPU-s", "chapters")
    for heading in ("model", "parameters", "MB", "what it does", "held out", "control", "CPU-s", "chapters"):
        table.add_column(heading, justify="right" if heading in right else "left", no_wrap=heading in ("model", "parameters"))
    found = [read(name) for name in names()]
    for model in found:
        table.add_row(
            model.name,
            f"{model.parameters:,}",
            f"{model.megabytes:.1f}",
            model.what,
            "" if model.value is None else f"{model.metric} {model.value:g}",
            ", ".join(f"{name} {value:g}" for name, value in model.control.items()),
            "" if model.cpu_seconds is None else f"{model.cpu_seconds:,.0f}",
            " ".join(model.chapters),
        )
    table.add_section()
    total = sum(m.megabytes for m in found)
    table.add_row("total", f"{sum(m.parameters for m in found):,}", f"{total:.1f}", f"of at most {MOST_MB} MB")
    console().print(table)
    if total > MOST_MB:
        raise BookError(f"the models of data/models take {total:.1f} MB, more than {MOST_MB}.")


def train(name: str, steps: int | None = None, threads: int | None = None, seed: int | None = None) -> None:
    """Run a recipe; what is shipped is replaced, with checksum and card, once it has finished."""
    given = {"--steps": steps, "--threads": threads, "--seed": seed}
    _ends(_recipe(name, *(str(x) for option, value in given.items() if value is not None for x in (option, value))), name)
    model = read(name)
    print(f"{name}: {model.metric} {model.value:g}, shipped with checksum and card.")


def verify(chosen: list[str]) -> None:
    """Evaluate the shipped weights and train shortened ones; BookError when a number is not what the card promises."""
    wrong = []
    for name in chosen or names():
        model = read(name)
        console().rule(name)
        assets.files(name)
        shipped = _last_line(name, "--evaluate", str(assets.MODELS / name))
        wrong += [f"{name}: {words}" for words in _compare(model, shipped)]
        (ROOT / "_build" / "models").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=ROOT / "_build" / "models", prefix=f"{name}-") as folder:
            wrong += [f"{name}: {words}" for words in _on_its_way(_last_line(name, "--short", "--out", folder))]
    if wrong:
        raise BookError("not as the cards say: " + "; ".join(wrong))


def _compare(model: Model, shipped: dict) -> list[str]:
    """What is wrong with an evaluation of the shipped weights, beside the card."""
    if model.value is None:
        return ["the card's head has no metric; train it, or add a model-index"]
    allowed = shipped.get("tolerance", TOLERANCE) * abs(model.value)
    words = f"shipped {shipped['metric']} {shipped['value']:g}, card {model.value:g} ± {allowed:.2g}"
    good = abs(shipped["value"] - model.value) <= allowed
    console().print(f"{'✓' if good else '✗'} {words}")
    return [] if good else [words]


def _on_its_way(trained: dict) -> list[str]:
    """What is wrong with a shortened training: its metric has to keep its bound, which the controls have to miss.

    Where `short` names "controls", only those: a minute's training need not leave the strongest behind.
    """
    bounds = {k: v for k, v in trained["short"].items() if k in ("at_least", "at_most")}
    ((kind, bound),) = bounds.items()

    def keeps(value: float) -> bool:
        return value >= bound if kind == "at_least" else value <= bound

    sign = {"at_least": "≥", "at_most": "≤"}[kind]
    words = f"shortened training, {trained['cpu_seconds']} CPU-s: {trained['metric']} {trained['value']:g} {sign} {bound:g}"
    wrong = [] if keeps(trained["value"]) else [words]
    controls = {name: trained["control"][name] for name in trained["short"].get("controls", trained["control"])}
    wrong += [f"the control “{name}” reaches {value:g}, too" for name, value in controls.items() if keeps(value)]
    control = ", ".join(f"{name} {value:g}" for name, value in controls.items())
    console().print(f"{'✗' if wrong else '✓'} {words} · control, {control}")
    return wrong


def names() -> list[str]:
    """The models of data/models, by name."""
    return sorted({path.relative_to(assets.MODELS).parts[0] for path in assets.MODELS.rglob("*.safetensors")})


def read(name: str) -> Model:
    """A model from its card (text, licence, model-index in the head) and the header of its weights."""
    from huggingface_hub import ModelCard

    folder = _folder(name)
    if not (folder / "README.md").exists():
        raise BookError(f"data/models/{name} has no README.md, its card; see data/models/README.md.")
    card = ModelCard.load(folder / "README.md")
    results = card.data.eval_results or []
    held_out = results[0] if results else None
    return Model(
        name,
        _first_sentence(card.text),
        card.data.license,
        sum(_sizes(p) for p in folder.rglob("*.safetensors")),
        sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6,
        held_out and held_out.metric_name,
        held_out and held_out.metric_value,
        {r.metric_name.removeprefix("control: "): r.metric_value for r in results if (r.metric_name or "").startswith("control: ")},
        next((r.metric_value for r in results if r.metric_type == "cpu_seconds"), None),
        _chapters(name),
    )


def _first_sentence(text: str) -> str:
    prose = re.sub(r"^#.*$", "", text, flags=re.MULTILINE).strip().partition("\n\n")[0]
    return re.split(r"(?<=\.)\s", " ".join(prose.split()))[0]


def _sizes(path: Path) -> int:
    """How many numbers a safetensors file holds, from its header alone."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return sum(math.prod(tensor["shape"]) for key, tensor in header.items() if key != "__metadata__")


def _chapters(name: str) -> list[str]:
    """Numbers of the chapters that load a model."""
    loads = re.compile(rf"embedded/{re.escape(name)}(?![\w-])")
    files = sorted((ROOT / "chapters").glob("[0-9]*.ipynb"))
    return [str(int(p.name[:2])) for p in files if loads.search(p.read_text(encoding="utf-8"))]


def _folder(name: str) -> Path:
    folder = assets.MODELS / name
    if not (folder / "recipe.py").exists():
        there = ", ".join(sorted(p.parent.name for p in assets.MODELS.glob("*/recipe.py")))
        raise BookError(f"there is no model {name!r} with a recipe; there are: {there}.")
    return folder


def _recipe(name: str, *arguments: str, **pipes) -> subprocess.Popen:
    command = [sys.executable, "-u", str(_folder(name) / "recipe.py"), *arguments]
    path = os.pathsep.join([str(key.CODE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=env, **pipes)


def _stop(process: subprocess.Popen) -> int:
    """Interrupt a recipe that a terminal may have interrupted already, and let it tidy up."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    if process.poll() is None:
        process.send_signal(signal.SIGINT) if sys.platform != "win32" else process.terminate()
    process.wait()
    return 130


def _ends(process: subprocess.Popen, name: str) -> None:
    """Wait for a recipe; Ctrl-C ends the command once the recipe, which is told as well, has tidied up."""
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = _stop(process)
    if code == 130:
        raise typer.Exit(130)
    if code:
        raise BookError(f"the recipe of {name} ended with code {code}; what is shipped stays as it was.")


def _last_line(name: str, *arguments: str) -> dict:
    """Run a recipe, show what it prints, and read the JSON of its last line."""
    process, last = _recipe(name, *arguments, stdout=subprocess.PIPE, text=True, encoding="utf-8"), ""
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
    except KeyboardInterrupt:
        raise typer.Exit(_stop(process)) from None
    _ends(process, name)
    try:
        return json.loads(last)
    except ValueError:
        raise BookError(f"the recipe of {name} has no JSON in its last line; see data/models/README.md.") from None
