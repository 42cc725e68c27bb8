"""`book doctor`: what this machine has, which targets fit it, what is missing and how to get it.

The one module of the command that loads torch.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from utils import ROOT, assets, targets
from utils.book import browser, environment, javascript

REPAIR = "python3 book.py --repair"


@dataclass
class Finding:
    """One line of the report: what was looked at, what was found, and what to do if that is not enough."""

    area: str
    name: str
    found: str
    remedy: str = ""  # how to get what is missing; empty when nothing is
    needed: bool = True  # without it `book build` or `book test` cannot do its work


def run() -> int:
    """Print the report; return how many things that `build` or `test` need are missing."""
    from rich.console import Console
    from rich.table import Table

    console, findings = Console(), examine()
    table = Table("", "what", "found", "what to do", title="This machine and the book", title_justify="left")
    area = None
    for finding in findings:
        if finding.area != area:
            area = finding.area
            table.add_section()
        mark = "✓" if not finding.remedy else "✗" if finding.needed else "–"
        table.add_row(mark, f"{area}: {finding.name}", finding.found, finding.remedy)
    console.print(table)
    lacking = [f for f in findings if f.remedy and f.needed]
    names = ", ".join(f.name for f in lacking)
    console.print(f"Missing: {names}. The last column says how to get it." if lacking else "Nothing that the book needs is missing.")
    return len(lacking)


def examine() -> list[Finding]:
    """Look at everything; nothing is changed or downloaded."""
    return [*machine(), *python(), *torch_build(), *targets_that_fit(), *parts()]


def machine() -> list[Finding]:
    """Processor, memory (GiB) and free disk (GB)."""
    import psutil

    memory, disk = psutil.virtual_memory(), shutil.disk_usage(ROOT)
    cores = f"{psutil.cpu_count(logical=False) or os.cpu_count()} cores, {os.cpu_count()} threads"
    few = "" if disk.free > 1e9 else "free a gigabyte: executed chapters and the site are written below _build"
    return [
        Finding("machine", "system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        Finding("machine", "processor", cores),
        Finding("machine", "memory", f"{memory.total / 2**30:.1f} GB, {memory.available / 2**30:.1f} GB available"),
        Finding("machine", "disk", f"{disk.free / 1e9:.1f} GB free", few),
    ]


def python() -> list[Finding]:
    """The interpreter, and whether its environment is the one of requirements.lock."""
    version = platform.python_version()
    supported = ".".join(version.split(".")[:2]) in environment.VERSIONS
    own = Path(sys.prefix).resolve() == Path(environment.VENV).resolve()
    complete, absent = not own or environment.ready(), not_installed()
    if own:
        where = ".venv" if complete else ".venv, not finished by book.py"
    else:
        where = "a conda environment" if Path(sys.prefix, "conda-meta").is_dir() else "an environment of your own"
    state = f"{where}; {len(absent)} locked versions differ: {', '.join(absent[:4])}" if absent else f"{where}; every version as locked"
    remedy = "python3 book.py doctor finishes it" if not complete else REPAIR if own else "python book.py --here doctor installs them"
    return [
        Finding("python", "version", version, "" if supported else "install Python 3.11, 3.12 or 3.13"),
        Finding("python", "environment", state, remedy if absent or not complete else "", needed=own),
        kernel(),
    ]


def not_installed() -> list[str]:
    """Names of requirements.lock that are not installed here in the locked version."""
    from importlib.metadata import PackageNotFoundError, version

    from utils.book import lock

    absent = []
    for requirement in lock.locked():
        if requirement.marker is None or requirement.marker.evaluate():
            try:
                fits = requirement.specifier.contains(version(requirement.name), prereleases=True)
            except PackageNotFoundError:
                fits = False
            if not fits:
                absent.append(requirement.name)
    return absent


def kernel() -> Finding:
    """Does the Jupyter kernel `python3`, which executes the chapters, run this Python?"""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding("python", "kernel", "no kernel python3", "python -m pip install ipykernel")
    resolved = shutil.which(program) or program
    ours = program in ("python", "python3") or Path(resolved).parent == Path(sys.executable).parent
    words = "python3, this Python" if ours else f"python3 runs another Python: {program}"
    return Finding("python", "kernel", words, "" if ours else "start commands with `python3 book.py`, which prefers its own kernel")


def torch_build() -> list[Finding]:
    """PyTorch's version and build, and every device it can use."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Finding("torch", "PyTorch", f"does not load: {str(error).splitlines()[0]}", REPAIR)]
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "ROCm" if torch.version.hip else "CPU build"
    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        devices.append(f"cuda:{number} ({properties.name}, {properties.total_memory / 2**30:.0f} GB)")
    if torch.backends.mps.is_available():
        devices.append("mps (Apple silicon)")
    unused = not torch.version.cuda and environment.has_nvidia_driver()
    return [
        Finding("torch", "PyTorch", f"{torch.__version__}, {build}"),
        Finding("torch", "devices", ", ".join(devices), "python3 book.py doctor --torch cuda" if unused else "", needed=False),
    ]


def targets_that_fit() -> list[Finding]:
    """Each file of targets/: it fits, or the reason why not. Only the default has to fit."""
    found = []
    for name in targets.names():
        try:
            target = targets.load(name)
            reason = targets.why_not(target)
        except (targets.TargetError, ImportError, OSError) as error:
            found.append(Finding("target", name, "cannot be used", str(error), needed=name == "cpu"))
            continue
        found.append(Finding("target", name, "does not fit" if reason else f"fits: {target.summary}", reason or "", needed=name == "cpu"))
    return found


def parts() -> list[Finding]:
    """The model, the JavaScript and the browser that a build or a test takes from outside the Python code."""
    try:
        assets.model("embedded/minilm-l6")
        model = Finding("parts", "MiniLM", "there, checksum right")
    except assets.AssetError as error:
        model = Finding("parts", "MiniLM", "not usable", str(error))
    fetched = "fetched" if not javascript.missing() else "not fetched yet"
    later = "" if fetched == "fetched" else "python3 book.py build fetches it; needs the network once"
    found = browser.find()
    remedy = "" if found else browser.how_to_get()
    return [
        model,
        Finding("parts", "JavaScript", f"{fetched} (MathJax, d3, jQuery)", later, needed=False),
        Finding("parts", "browser", str(found) if found else "not found", remedy, needed=not browser.can_be_fetched()),
    ]
