"""Where chapters and runs are, and what a run left. Used by the command and by the site; loads nothing heavy."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from utils import ROOT
from utils.claims import MIME

_PACKAGES = "torch transformers datasets tokenizers captum bertviz scikit-learn numpy scipy tensorboard".split()


@dataclass(frozen=True)
class Chapter:
    """One notebook in `chapters/`."""

    number: int
    path: Path
    stem: str
    title: str


def chapters() -> list[Chapter]:
    """All chapters there are, by number. A notebook that cannot be read is listed too, so that running it says why."""
    found = [p for p in (ROOT / "chapters").glob("*.ipynb") if re.match(r"\d\d_", p.name)]
    return [Chapter(int(p.stem[:2]), p, p.stem, _title(p)) for p in sorted(found)]


def runs_folder(target: str) -> Path:
    """`_build/runs/<target>`: executed notebooks and their records."""
    return ROOT / "_build" / "runs" / target


def results_file(target: str) -> Path:
    """`data/results/<target>.json`: the committed record."""
    return ROOT / "data" / "results" / f"{target}.json"


def latest(target: str, chapter: int) -> dict | None:
    """The record of a chapter's last good run: of this machine if there is one, else the committed one."""
    return local(target, chapter) or committed(target)["chapters"].get(str(chapter))


def local(target: str, chapter: int) -> dict | None:
    """The record of the last good run on this machine, if its notebook is still there."""
    for path in sorted(runs_folder(target).glob(f"{chapter:02d}_*.json")):
        if not path.name.endswith(".failed.json") and path.with_suffix(".ipynb").exists():
            return _read(path)
    return None


def committed(target: str) -> dict:
    """The committed record of a target: {"target": …, "chapters": {"1": run record, …}}; empty when there is none."""
    return _read(results_file(target)) or {"target": target, "chapters": {}}


def traces(notebook: dict) -> list[dict]:
    """The claims that an executed notebook (as JSON) holds, in order."""
    outputs = (o for cell in notebook["cells"] if cell["cell_type"] == "code" for o in cell.get("outputs", []))
    return [o["data"][MIME] for o in outputs if MIME in o.get("data", {})]


def source_of(cell: dict) -> str:
    """A cell's source as one string; on disk it may be a list of lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def tags_of(cell: dict) -> list[str]:
    """A cell's tags."""
    return list(cell.get("metadata", {}).get("tags", []))


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary name first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, content: dict) -> None:
    """Write JSON that is the same for the same content: sorted keys, floats to six significant digits."""
    write_text(path, json.dumps(_rounded(content), indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def hardware(device: str = "cpu") -> dict:
    """The machine a run happened on, without its name."""
    import psutil

    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "accelerator": _accelerator(device),
    }


def versions() -> dict[str, str]:
    """Python's version, and those of the packages whose version can move a result."""
    installed = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def _title(path: Path) -> str:
    """The notebook's first H1, or its file name in words."""
    try:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown" and (h1 := re.search(r"^# +(.+?)\s*$", source_of(cell), re.MULTILINE)):
                return h1[1]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return path.stem[3:].replace("_", " ").capitalize()


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {str(k): _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return value


def _processor() -> str:
    try:  # Linux says "x86_64" for platform.processor(), or nothing
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        return names[0] if names else platform.processor() or platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def _accelerator(device: str) -> str | None:
    if not device.startswith("cuda"):
        return "Apple GPU" if device == "mps" else None
    try:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.splitlines()[0].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        return "NVIDIA GPU"
