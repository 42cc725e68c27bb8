"""open_chapter(): the first call of every chapter. It settles target, seed, device and threads.

Imported by chapters.
"""

from __future__ import annotations

import contextlib
import os
import platform
import random
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils import ROOT, targets

if TYPE_CHECKING:
    import torch


@dataclass
class Chapter:
    """What a chapter needs to know about its run."""

    number: int
    target: targets.Target
    seed: int
    device: torch.device
    dtype: torch.dtype
    threads: int

    @property
    def scratch(self) -> Path:
        """A folder for what this chapter writes (logs, checkpoints); inside the repository, ignored by git."""
        other = f"-{self.seed}" if self.seed else ""  # two seeds of a chapter may run side by side
        path = ROOT / "_build" / "scratch" / f"{self.number:02d}-{self.target.name}{other}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def seed_for(self, *names) -> int:
        """A seed that depends on the chapter's seed and on `names` only, not on what ran before."""
        return zlib.crc32(repr((self.seed, *names)).encode()) % 2**31

    def generator(self, *names) -> torch.Generator:
        """A CPU random generator of its own, for data that must not change when a cell moves."""
        import torch

        return torch.Generator().manual_seed(self.seed_for(*names))

    @contextlib.contextmanager
    def seeded(self, *names):
        """Inside this block torch, numpy and random start from `seed_for(*names)`; outside they go on as before."""
        import numpy as np
        import torch

        seed = self.seed_for(*names)
        states = random.getstate(), np.random.get_state()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
            try:
                yield
            finally:
                random.setstate(states[0]), np.random.set_state(states[1])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th style='text-align:left'>{k}</th><td style='text-align:left'>{v}</td></tr>" for k, v in self._card())
        return f"<table class='run-card'><tbody>{rows}</tbody></table>"

    def __repr__(self) -> str:
        return "\n".join(f"{k:10} {v}" for k, v in self._card())

    def _card(self) -> list[tuple[str, str]]:
        import torch

        return [
            ("chapter", f"{self.number}"),
            ("target", f"{self.target.name}: {self.target.summary}"),
            ("device", f"{self.device}, {str(self.dtype).removeprefix('torch.')}, {self.threads} thread{'s' * (self.threads > 1)}"),
            ("seed", f"{self.seed}"),
            ("versions", f"Python {platform.python_version()}, torch {torch.__version__}"),
            ("network", "may be used" if self.target.network else "not used"),
        ]


def open_chapter(number: int, target: str = "cpu", seed: int = 0) -> Chapter:
    """Settle where and how a chapter runs. Shows a run card as the last expression of a cell.

    number: of the chapter. target: a file of `targets/`, by name. seed: any non-negative integer.
    Raises targets.TargetError, in one sentence, for an unknown target or hardware that is not there.
    """
    chosen = targets.load(target)
    _network(chosen.network)
    import torch

    if reason := targets.why_not(chosen):
        raise targets.TargetError(reason)
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed has to be a non-negative integer, not {seed!r}")
    count = targets.threads(chosen)
    torch.set_num_threads(count)
    _style()
    return Chapter(number, chosen, seed, torch.device(chosen.device), getattr(torch, chosen.dtype), count)


def _network(allowed: bool) -> None:
    """Without network, libraries must not even try: a reader on a train would wait for time-outs."""
    if allowed:
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    if constants := getattr(sys.modules.get("huggingface_hub"), "constants", None):
        constants.HF_HUB_OFFLINE = True


def _style() -> None:
    """One look for all: figures with large labels and the Okabe–Ito colours, safe for colour-blind eyes; whole table cells."""
    import matplotlib as mpl
    import pandas as pd

    pd.options.display.max_colwidth = None
    mpl.rcParams.update(
        {
            "figure.figsize": (7, 3.8),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "lines.linewidth": 2,
            "image.cmap": "cividis",
            "svg.hashsalt": "book",
            "axes.prop_cycle": mpl.cycler(
                color=["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#6E6E6E", "#F0E442"]
            ),
        }
    )
