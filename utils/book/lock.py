"""requirements.lock: every version but PyTorch's, exact and with hashes, for each system the book supports. `write` and `check`
are for maintainers and need `uv`.

`write()` makes the file from pyproject.toml, `check()` shows for which systems every package has a wheel.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from utils import ROOT
from utils.book import BookError

PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {  # as a reader calls it -> as uv calls it
    "Linux x86-64": "x86_64-manylinux_2_28",
    "macOS arm64": "aarch64-apple-darwin",  # macOS 14 or newer, as PyTorch asks for
    "Windows x86-64": "x86_64-pc-windows-msvc",
}
SYSTEMS = {"linux", "darwin", "win32"}
BROUGHT_BY_TORCH = ("nvidia-", "cuda-", "triton")  # come with PyTorch's CUDA build, and only with it
UNWANTED = {"torchvision", "torchaudio", "timm", "speechbrain"}  # see pyproject.toml
HEAD = """\
# Every version, exact, with the SHA-256 of each of its files. Written by `book lock` from pyproject.toml; never edit it by hand.
# Complete, so it is installed without resolving: pip install --no-deps --require-hashes --requirement requirements.lock
# PyTorch is not in here, since its builds differ by index: book.py installs it first, in the version that pyproject.toml names.
"""


def direct(root: Path = ROOT) -> dict[str, Requirement]:
    """The direct dependencies of pyproject.toml: canonical name -> requirement."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {canonicalize_name(r.name): r for r in map(Requirement, project["dependencies"])}


def locked(root: Path = ROOT) -> list[Requirement]:
    """PyTorch, and the lines of requirements.lock in their order; a name stands twice when its version depends on the system."""
    return [direct(root)["torch"], *(requirement for requirement, _ in parsed((root / "requirements.lock").read_text(encoding="utf-8")))]


def parsed(text: str) -> list[tuple[Requirement, list[str]]]:
    """The requirements in a file of pip's format, each with the hashes of its files ("sha256:…")."""
    whole = re.sub(r"\\\n\s*", " ", text)
    lines = [line for line in whole.splitlines() if line.strip() and not line.startswith("#")]
    return [(Requirement(line.partition(" --hash")[0]), re.findall(r"--hash=(\S+)", line)) for line in lines]


def write(constraint: Path | str | None = None, upgrade: bool = False, root: Path = ROOT) -> int:
    """Write requirements.lock: versions it has already are kept unless they no longer fit or `upgrade` is set.

    constraint: a file of versions to prefer over both, in pip's format. BookError when uv is missing,
    when the requirements contradict each other, or when a package that must stay out gets in. Returns 0.
    """
    path = root / "requirements.lock"
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "requirements.txt"
        if path.is_file() and not upgrade and constraint is None:
            draft.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")  # uv keeps the versions it finds
        _uv(
            *("pip", "compile", "--universal", "--python-version", PYTHONS[0], "--generate-hashes"),
            *("--no-header", "--no-annotate", "--quiet"),
            *(("--constraint", str(Path(constraint).resolve())) if constraint else ()),
            *("--output-file", str(draft), str(root / "pyproject.toml")),
        )
        found = parsed(draft.read_text(encoding="utf-8"))
    if unwanted := sorted(UNWANTED & {canonicalize_name(r.name) for r, _ in found}):
        raise BookError(f"{unwanted[0]} got into the environment and must stay out (see pyproject.toml); find what asks for it.")
    kept = [(r, hashes) for r, hashes in found if not (r.name == "torch" or canonicalize_name(r.name).startswith(BROUGHT_BY_TORCH))]
    if bare := [r.name for r, hashes in kept if not hashes]:
        raise BookError(f"The index gave no hash for {bare[0]}, and without one the lock would not say which file is meant.")
    lines = []
    for r, hashes in sorted(kept, key=lambda pair: (canonicalize_name(pair[0].name), str(pair[0]))):
        marker = simplify(str(r.marker or ""))
        line = f"{r.name}{r.specifier}" + (f" ; {marker}" if marker else "")
        lines.append(" \\\n    ".join([line, *(f"--hash={h}" for h in sorted(hashes))]))
    temporary = path.with_suffix(".tmp")
    temporary.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    temporary.replace(path)
    print(f"requirements.lock: {len(lines)} packages, {len(direct(root)) - 1} of them direct dependencies; PyTorch apart")
    return 0


def simplify(marker: str) -> str:
    """Shorten an environment marker as uv writes it.

    Left out is what holds on every system the book supports: Python before 3.14, and a Mac's processor being arm64.
    Ways to keep it that differ in the system alone, and name all three, become one without a system.
    """
    ways: dict[frozenset[str], set[str]] = {}
    for conditions in _ways(marker) if marker else []:
        system = next((c for c in conditions if c.startswith("sys_platform == ")), "")
        always = {"python_full_version < '3.14'", system}
        if system == "sys_platform == 'darwin'":
            always.add("platform_machine == 'arm64'")
        ways.setdefault(conditions - always, set()).add(system[len("sys_platform == '") : -1])
    parts = []
    for rest, systems in ways.items():
        for system in [""] if "" in systems or systems >= SYSTEMS else sorted(systems):
            parts.append(" and ".join([*sorted(rest), *([f"sys_platform == '{system}'"] if system else [])]))
    return "" if "" in parts else " or ".join(f"({p})" if " and " in p and len(parts) > 1 else p for p in parts)


def _ways(marker: str) -> list[frozenset[str]]:
    """The ways to keep a marker, each a set of conditions: what stands between its "or"s when every bracket is multiplied out."""
    parts = re.findall(r"""[()]|\band\b|\bor\b|[\w.]+ (?:[=!<>]+|in|not in) (?:'[^']*'|"[^"]*")""", marker)

    def either() -> list[frozenset[str]]:
        ways = every()
        while parts[:1] == ["or"]:
            parts.pop(0)
            ways = ways + every()
        return ways

    def every() -> list[frozenset[str]]:
        ways = one()
        while parts[:1] == ["and"]:
            parts.pop(0)
            ways = [left | right for left, right in itertools.product(ways, one())]
        return ways

    def one() -> list[frozenset[str]]:
        part = parts.pop(0)
        if part != "(":
            return [frozenset([part.replace('"', "'")])]
        inside = either()
        parts.pop(0)
        return inside

    return either()


def check(root: Path = ROOT) -> int:
    """Show for each direct dependency whether its locked version has a wheel on each system and Python.

    What the direct ones bring is asked too and named when it lacks one. Returns 0: an exception is
    information for the README, not a failure.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console()
    lacking: dict[str, list[str]] = {}  # name -> where it has no wheel
    for platform, triple in PLATFORMS.items():
        for python in PYTHONS:
            with console.status(f"{platform}, Python {python}"):
                for name in without_wheel(locked(root), triple, python):
                    lacking.setdefault(name, []).append(f"{platform}, Python {python}")
    table = Table("package", "version", *PLATFORMS, title=f"A wheel for Python {PYTHONS[0]}–{PYTHONS[-1]}?")
    versions = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in locked(root)}
    for name in direct(root):
        cells = []
        for platform in PLATFORMS:
            absent = [where.rsplit(" ", 1)[1] for where in lacking.get(name, []) if where.startswith(platform)]
            cells.append("yes" if not absent else f"no: {', '.join(absent)}")
        table.add_row(name, versions.get(name, "not locked"), *cells)
    console.print(table)
    for name, places in lacking.items():
        where = "anywhere" if len(places) == len(PLATFORMS) * len(PYTHONS) else f"for {'; '.join(places)}"
        console.print(f"Exception: {name} {versions[name]} has no wheel {where}" + ("." if name in direct(root) else " (not a direct dependency)."))
    others = len(versions) - len(direct(root))
    console.print(f"{len(direct(root))} direct dependencies and the {others} packages they bring; exceptions: {len(lacking)}.")
    return 0


def without_wheel(requirements: list[Requirement], platform: str, python: str) -> list[str]:
    """Names of those requirements that have no wheel for one platform (uv's name for it) and Python."""
    left, names = list(requirements), []
    arguments = ("pip", "compile", "--no-deps", "--only-binary", ":all:", "--python-platform", platform, "--python-version", python)
    while True:
        try:
            _uv(*arguments, "--quiet", "-", text="\n".join(map(str, left)))
            return names
        except BookError as error:  # uv names one package at a time
            said = re.search(r"Because (?:only )?([\w.-]+)[^ ]* has no .*?wheels", str(error))
            name = canonicalize_name(said[1]) if said else ""
            if name not in {canonicalize_name(r.name) for r in left}:
                raise
            names.append(name)
            left = [r for r in left if canonicalize_name(r.name) != name]


def _uv(*arguments: str, text: str | None = None) -> str:
    """Run uv and return what it prints; BookError with uv's own reason when it fails."""
    beside = Path(sys.executable).with_name("uv.exe" if sys.platform == "win32" else "uv")
    program = str(beside) if beside.is_file() else shutil.which("uv")
    if program is None:
        raise BookError("uv is missing; it is a maintainer's tool: install it with `python -m pip install uv`.")
    variables = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}
    done = subprocess.run([program, *arguments], input=text, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, env=variables)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith(("warning", "hint"))]
        raise BookError(f"uv could not resolve the requirements: {' '.join(' '.join(lines).split())}")
    return done.stdout
