"""own_records: what models reached on a reader's own data, kept for the results page. Imported by chapters and `own_table`."""

from __future__ import annotations

import json
import os
import platform
import re
from datetime import UTC, datetime
from importlib import metadata

from utils import ROOT

PACKAGES = ("torch", "transformers", "scikit-learn", "numpy", "pandas")


def keep(name: str, title: str, *, about: str, command: str, models: dict, lower_is_better: bool = False, published=None, source="") -> str:
    """Write a record to `data/results/own-data/<name>-<title>.json`; returns the file's name.

    name: of the record, often the target. title: of the data. about: one sentence on origin, sizes and trainings.
    models: model → {measure: one number for each training, …, "seconds": of one training}, all with the same measures,
    the chief one first. published: model → the chief measure as `source` gives it. The record holds no row of the data
    and no path of this machine: whoever calls sees to it that `about` and `command` do not either.
    Raises ValueError when a name could not be a file's.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise ValueError(f"A record is named with letters, digits, - and _, not {name!r}.")
    title = re.sub(r"[^\w-]+", "-", title)
    measure = next(iter(next(iter(models.values()))))
    best_first = sorted(models.items(), key=lambda m: sum(m[1][measure]) / len(m[1][measure]), reverse=not lower_is_better)
    record = {
        "title": title,
        "about": about,
        "command": command,
        "measure": measure,
        "models": {n: {m: v if m == "seconds" else [float(x) for x in v] for m, v in values.items()} for n, values in best_first},
        "published": published or {},
        "source": source,
        "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in PACKAGES}},
        "cores": os.cpu_count(),
        "day": datetime.now(UTC).date().isoformat(),
    }
    path = ROOT / "data" / "results" / "own-data" / f"{name}-{title}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    return path.name
