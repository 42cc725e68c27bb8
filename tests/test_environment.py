"""pyproject.toml, environment.yml and requirements.lock name the same things; the lock and npm's parts keep their promises."""

from __future__ import annotations

import ast
import importlib.metadata
import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from utils import ROOT
from utils.book import BookError, environment, javascript, lock

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SYSTEMS = {  # the systems the book supports, as environment markers see them
    "Linux": {"sys_platform": "linux", "platform_machine": "x86_64", "os_name": "posix", "platform_system": "Linux"},
    "Linux on ARM": {"sys_platform": "linux", "platform_machine": "aarch64", "os_name": "posix", "platform_system": "Linux"},
    "macOS": {"sys_platform": "darwin", "platform_machine": "arm64", "os_name": "posix", "platform_system": "Darwin"},
    "Windows": {"sys_platform": "win32", "platform_machine": "AMD64", "os_name": "nt", "platform_system": "Windows"},
}
RELEASES = ("3.11.0", "3.11.4", "3.11.5", "3.11.9", "3.12.0", "3.12.4", "3.13.0", "3.13.5")


def every_environment():
    for system, full in itertools.product(SYSTEMS.values(), RELEASES):
        version = {"python_full_version": full, "python_version": full.rpartition(".")[0], "implementation_name": "cpython"}
        yield {**system, **version, "platform_python_implementation": "CPython", "extra": ""}


def locked_for(where: dict) -> list[Requirement]:
    return [r for r in lock.locked() if r.marker is None or r.marker.evaluate(where)]


def test_every_direct_dependency_is_locked_once_at_a_permitted_version_on_every_system():
    for where in every_environment():
        versions = {}
        for requirement in locked_for(where):
            name = canonicalize_name(requirement.name)
            assert name not in versions, f"{name} stands twice for {where}"
            versions[name] = str(requirement.specifier).removeprefix("==")
        for name, wanted in lock.direct().items():
            if wanted.marker is not None and not wanted.marker.evaluate(where):
                continue  # the other build's turn: xgboost or xgboost-cpu
            assert name in versions, f"{name} of pyproject.toml is not in requirements.lock: run `book lock`"
            assert wanted.specifier.contains(versions[name]), f"{name} {versions[name]} in the lock, {wanted} in pyproject.toml"


def test_what_is_installed_here_needs_nothing_that_the_lock_lacks():
    here = {canonicalize_name(r.name) for r in lock.locked() if r.marker is None or r.marker.evaluate()}
    for name in here:
        for line in importlib.metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                child = canonicalize_name(needed.name)
                assert child in here or child.startswith(lock.BROUGHT_BY_TORCH), f"{name} needs {child}, which is not locked"


def test_every_line_of_the_lock_is_one_exact_version():
    for requirement in lock.locked():
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert requirement.url is None and not requirement.extras


def test_the_lock_brings_neither_pytorch_nor_cuda_libraries_nor_what_must_stay_out():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    names = [canonicalize_name(r.name) for r, _ in lock.parsed(text)]
    assert not [n for n in names if n == "torch" or n.startswith(lock.BROUGHT_BY_TORCH) or n in lock.UNWANTED]
    assert "://" not in text and not re.search(r"^-", text, re.MULTILINE)  # no index, no option
    assert str(lock.locked()[0]) == environment.torch() == "torch==2.13.0"


def test_every_package_of_the_lock_has_the_hashes_of_its_files():
    for requirement, hashes in lock.parsed((ROOT / "requirements.lock").read_text(encoding="utf-8")):
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in hashes), requirement


def test_pip_gets_every_package_with_its_hashes_once(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "VENV", str(tmp_path))
    built = Path(environment.excerpt("built", lambda name: name in environment.BUILT)).read_text(encoding="utf-8")
    others = Path(environment.excerpt("libraries", lambda name: name not in environment.BUILT)).read_text(encoding="utf-8")
    whole = lock.parsed((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    assert sorted(map(str, lock.parsed(built + others))) == sorted(map(str, whole))
    assert {r.name for r, _ in lock.parsed(built)} == set(environment.BUILT)
    versions = Path(environment.excerpt("versions", lambda name: True, hashes=False)).read_text(encoding="utf-8")
    assert lock.parsed(versions) == [(r, []) for r, _ in whole]


def test_conda_brings_python_and_pip_and_book_py_the_rest():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    conda = yaml.safe_load(text)["dependencies"]
    assert [d.partition("=")[0] for d in conda] == ["python", "pip"], "the versions are in requirements.lock, and only there"
    assert SpecifierSet(PROJECT["requires-python"]).contains(conda[0].removeprefix("python="))
    assert "python book.py --here build" in text
    assert "python book.py --here" in (ROOT / "postBuild").read_text(encoding="utf-8")


def test_pip_finds_everything_of_the_lock_installed():
    """Nothing is left to resolve or to fetch."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index", "--requirement", "requirements.lock"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0 and "Would install" not in done.stdout, done.stdout[-500:] + done.stderr[-500:]


def test_the_supported_pythons_are_the_same_everywhere():
    allowed = SpecifierSet(PROJECT["requires-python"])
    every = [f"3.{minor}" for minor in range(6, 20)]
    assert [v for v in every if allowed.contains(v)] == list(environment.VERSIONS) == list(lock.PYTHONS)


def test_every_direct_dependency_says_why_it_is_there():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = text[text.index("dependencies = [") : text.index("\n]\n", text.index("dependencies = ["))].splitlines()[1:]
    bare = [line.strip() for line in lines if line.strip().startswith('"') and not re.search(r"#\s*\w+", line)]
    assert not bare


def imports(source: str) -> set[str]:
    """Top-level names of all modules that some Python code imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def importable(direct: dict[str, Requirement]) -> list[str]:
    """Those of the direct dependencies that belong on this system."""
    return [name for name, r in direct.items() if r.marker is None or r.marker.evaluate()]


def test_everything_the_code_and_the_chapters_import_is_a_direct_dependency():
    sources = {p.relative_to(ROOT): p.read_text(encoding="utf-8") for d in ("utils", "tests") for p in (ROOT / d).rglob("*.py")}
    for path in (ROOT / "chapters").glob("*.ipynb"):
        cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        sources[path.relative_to(ROOT)] = "\n".join(re.sub(r"(?m)^\s*[%!].*$", "pass", c) for c in cells)
    providers = importlib.metadata.packages_distributions()
    permitted = set(lock.direct())  # and what these themselves are made of, such as Sphinx under Jupyter Book
    for name in importable(lock.direct()):
        permitted |= {canonicalize_name(Requirement(line).name) for line in importlib.metadata.requires(name) or []}
    undeclared = {}
    for path, source in sources.items():
        for name in imports(source) - set(sys.stdlib_module_names) - {"utils", "tests", "conftest"}:
            if not {canonicalize_name(d) for d in providers.get(name, [])} & permitted:
                undeclared.setdefault(name, str(path))
    own = {path.stem for path in ROOT.rglob("tests/**/*.py")} | {"part"}  # test helpers, and what tests make up
    assert not {name: path for name, path in undeclared.items() if name not in own}


# As uv writes them for the three systems.
ALL = "(python_full_version < '3.14' and platform_machine == 'arm64' and sys_platform == 'darwin')"
MARKERS = {
    f"{ALL} or (python_full_version < '3.14' and sys_platform == 'linux') or (python_full_version < '3.14' and sys_platform == 'win32')": "",
    "python_full_version < '3.14' and sys_platform == 'win32'": "sys_platform == 'win32'",
    f"{ALL} or (python_full_version < '3.14' and sys_platform == 'linux')": "sys_platform == 'darwin' or sys_platform == 'linux'",
    # of newer releases of uv, with brackets in brackets
    "python_full_version < '3.14' and "
    "((platform_machine == 'arm64' and sys_platform == 'darwin') or sys_platform == 'linux' or sys_platform == 'win32')": "",
    "python_full_version < '3.12' and (sys_platform == 'linux' or sys_platform == 'win32')": (
        "(python_full_version < '3.12' and sys_platform == 'linux') or (python_full_version < '3.12' and sys_platform == 'win32')"
    ),
    "(python_full_version < '3.12' or platform_machine == 'aarch64') and (sys_platform == 'linux' or sys_platform == 'win32')": (
        "(python_full_version < '3.12' and sys_platform == 'linux') or (python_full_version < '3.12' and sys_platform == 'win32') or "
        "(platform_machine == 'aarch64' and sys_platform == 'linux') or (platform_machine == 'aarch64' and sys_platform == 'win32')"
    ),
    ALL.replace("< '3.14'", "< '3.12'")
    + " or (python_full_version < '3.12' and sys_platform == 'linux') or (python_full_version < '3.12' and sys_platform == 'win32')": (
        "python_full_version < '3.12'"
    ),
    "(python_full_version < '3.14' and os_name != 'nt' and sys_platform == 'win32') or " + ALL: (
        "(os_name != 'nt' and sys_platform == 'win32') or sys_platform == 'darwin'"
    ),
    "": "",
}


@pytest.mark.parametrize("marker", MARKERS)
def test_a_shortened_marker_means_the_same_on_every_supported_system(marker):
    short = lock.simplify(marker)
    assert short == MARKERS[marker]
    for where in every_environment():
        assert (not short or Marker(short).evaluate(where)) == (not marker or Marker(marker).evaluate(where)), where


@pytest.fixture
def uv(monkeypatch):
    """Stands for uv: it writes what the test gives it."""

    def stand_in(text):
        def answer(*arguments, **_):
            Path(arguments[arguments.index("--output-file") + 1]).write_text(text, encoding="utf-8")

        monkeypatch.setattr(lock, "_uv", answer)

    return stand_in


def copy_of_project(folder: Path) -> Path:
    (folder / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return folder


def with_hash(*lines: str) -> str:
    """Lines as uv writes them, each with a hash."""
    return "".join(f"{line} \\\n    --hash=sha256:{'0' * 64}\n" for line in lines)


def test_lock_leaves_out_pytorch_and_what_it_brings_and_keeps_the_hashes(tmp_path, uv):
    uv(with_hash("rich==15.0.0", "nvidia-cublas==13.0 ; sys_platform == 'linux'", "torch==2.13.0", "triton==3.0", "absl-py==2.0"))
    assert lock.write(root=copy_of_project(tmp_path)) == 0
    assert [str(r) for r in lock.locked(tmp_path)] == ["torch==2.13.0", "absl-py==2.0", "rich==15.0.0"]
    written = (tmp_path / "requirements.lock").read_text(encoding="utf-8")
    assert written == lock.HEAD + with_hash("absl-py==2.0", "rich==15.0.0")


def test_lock_refuses_what_must_stay_out_and_what_has_no_hash_and_keeps_the_old_file(tmp_path, uv):
    (copy_of_project(tmp_path) / "requirements.lock").write_text("rich==14.0.0\n", encoding="utf-8")
    uv(with_hash("rich==15.0.0", "torchvision==0.28.0"))
    with pytest.raises(BookError, match="torchvision got into the environment"):
        lock.write(root=tmp_path)
    uv("rich==15.0.0\n")
    with pytest.raises(BookError, match="no hash for rich"):
        lock.write(root=tmp_path)
    assert (tmp_path / "requirements.lock").read_text(encoding="utf-8") == "rich==14.0.0\n"


def test_lock_without_uv_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(BookError, match="uv is missing.*pip install uv"):
        lock.write(root=copy_of_project(tmp_path))


def test_lock_check_finds_every_package_without_a_wheel(monkeypatch):
    """uv names one at a time; asked again without it, it names the next."""

    def answer(*_, text):
        for line in text.splitlines():
            name = line.partition("==")[0]
            if name in ("lime", "torch"):
                why = "no usable wheels" if name == "lime" else "no wheels with a matching platform tag"
                raise BookError(f"uv could not resolve the requirements: error: Because {line} has {why} and you require {line}")

    monkeypatch.setattr(lock, "_uv", answer)
    wanted = [Requirement(r) for r in ("torch==2.13.0", "rich==15.0.0", "lime==0.2.0.1")]
    assert lock.without_wheel(wanted, "any", "3.12") == ["torch", "lime"]


def test_npm_parts_are_exact_and_come_from_whatever_registry_npm_is_set_to():
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert wanted["private"] is True
    for name, version in wanted["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version) and locked[f"node_modules/{name}"]["version"] == version
    for path, package in locked.items():
        assert "resolved" not in package and (path == "" or package["integrity"].startswith("sha512-"))


def npm_project(folder: Path) -> Path:
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def test_npm_without_network_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retry_mintimeout", "10")
    monkeypatch.setenv("npm_config_fetch_retry_maxtimeout", "20")
    with pytest.raises(BookError, match=r"could not be fetched from npm \(ECONNREFUSED\): connect to the network"):
        javascript.ensure(npm_project(tmp_path))
    assert javascript.missing(tmp_path)


def test_npm_parts_that_disagree_are_named(tmp_path):
    changed = npm_project(tmp_path) / "package.json"
    changed.write_text(changed.read_text(encoding="utf-8").replace("5.7.0", "5.8.0"), encoding="utf-8")
    with pytest.raises(BookError, match=r"package.json and package-lock.json disagree"):
        javascript.ensure(tmp_path)


def test_npm_is_asked_again_only_when_its_lock_changed(tmp_path, monkeypatch):
    calls = []

    def npm(arguments, **options):
        calls.append(arguments[0])
        javascript.folder(tmp_path).mkdir(exist_ok=True)
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(javascript, "_npm", npm)
    for _ in range(2):
        assert javascript.ensure(npm_project(tmp_path)) == tmp_path / "node_modules"
    assert calls == ["ci"]
    with open(tmp_path / "package-lock.json", "a", encoding="utf-8") as file:
        file.write("\n")
    javascript.ensure(tmp_path)
    assert calls == ["ci", "ci"]


def test_the_ci_script_runs_the_two_commands_of_the_readme_in_their_order():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    called = re.findall(r"^python3 book\.py (\w+)$", script, re.MULTILINE)
    assert called == ["test", "build"] and os.access(ROOT / ".ci" / "run", os.X_OK)
    assert all(f"python3 book.py {command}" in (ROOT / "README.md").read_text(encoding="utf-8") for command in called)
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"]).returncode == 0
