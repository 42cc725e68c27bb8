"""What a hardware target is, which parameters it gives a chapter, and whether it fits this machine.

Imported by chapters (through open_chapter) and by the command.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field, fields

from utils import ROOT

TARGETS = ROOT / "targets"


class TargetError(ValueError):
    """The target is unknown, malformed, or needs hardware that this machine lacks."""


@dataclass(frozen=True)
class Target:
    """One file of `targets/`: the hardware, and the papermill parameters of every chapter on it."""

    name: str
    summary: str
    device: str  # a torch device: "cpu", "cuda", "mps"
    dtype: str  # a torch dtype, by name
    threads: int  # processor threads one chapter uses at most
    memory_gb: float  # memory one chapter needs at most
    network: bool  # may a chapter fetch models and data from the Hub?
    timeout: int  # seconds after which a chapter is stopped
    parameters: dict = field(default_factory=dict)  # for every chapter
    chapters: dict = field(default_factory=dict)  # number -> parameters, over the general ones

    def parameters_for(self, chapter: int) -> dict:
        """The papermill parameters of one chapter: target name, general ones, then its own."""
        return {"target": self.name, **self.parameters, **(self.chapters.get(chapter) or {})}


def names() -> list[str]:
    """All targets there are, the default first."""
    found = sorted(p.stem for p in TARGETS.glob("*.yml"))
    return sorted(found, key=lambda n: n != "cpu")


def load(name: str) -> Target:
    """Read `targets/<name>.yml`; TargetError names the near match or the wrong key."""
    import yaml

    path = TARGETS / f"{name}.yml"
    if name not in names():
        near = difflib.get_close_matches(name, names(), 1)
        hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(names())}."
        raise TargetError(f"There is no target {name!r}.{hint}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise TargetError(f"targets/{name}.yml is not valid YAML: {str(error).splitlines()[0]}") from None
    if (parent := content.pop("extends", None)) is not None:
        content = _extended(load(parent), content)
    known = {f.name for f in fields(Target)} - {"name"}
    if unknown := set(content) - known:
        raise TargetError(f"targets/{name}.yml has the unknown key {sorted(unknown)[0]!r}; known: {', '.join(sorted(known))}.")
    if missing := {"summary", "device", "dtype", "threads", "memory_gb", "network", "timeout"} - set(content):
        raise TargetError(f"targets/{name}.yml lacks {sorted(missing)[0]!r}.")
    return Target(name=name, **{k: v for k, v in content.items() if v is not None})


def _extended(parent: Target, content: dict) -> dict:
    """The content of a file that `extends` another target: its own keys win, and so does each of its parameters."""
    inherited = {f.name: getattr(parent, f.name) for f in fields(Target) if f.name != "name"}
    chapters, own = dict(parent.chapters), content.get("chapters") or {}
    for number, parameters in own.items():
        chapters[number] = {**(chapters.get(number) or {}), **(parameters or {})}
    return {**inherited, **content, "parameters": {**parent.parameters, **(content.get("parameters") or {})}, "chapters": chapters}


def why_not(target: Target) -> str | None:
    """Why this machine cannot run the target, in one sentence; None when it can."""
    import psutil
    import torch

    if target.device.startswith("cuda") and not torch.cuda.is_available():
        build = "this torch is a CPU build" if torch.version.cuda is None else "torch sees no NVIDIA GPU"
        return f"The target {target.name!r} needs an NVIDIA GPU and {build}. Use --target cpu, or install with: python3 book.py build --torch cuda"
    if target.device == "mps" and not torch.backends.mps.is_available():
        return f"The target {target.name!r} needs a Mac with Apple silicon. Use --target cpu."
    total = psutil.virtual_memory().total / 2**30
    if total < target.memory_gb:
        return f"The target {target.name!r} needs {target.memory_gb:g} GB of memory; this machine has {total:.1f} GB."
    return None


def threads(target: Target) -> int:
    """Threads for one chapter: what the target allows, the machine has, and BOOK_THREADS leaves it."""
    share = int(os.environ.get("BOOK_THREADS", target.threads))
    return max(1, min(target.threads, share, os.cpu_count() or 1))
