"""book.py as a stranger meets it: a real folder with a space and an umlaut, a real venv, a real pip, a tiny lock.

The packages of the tiny lock come from an index on loopback: wheels packed anew from what is installed here, and
two made by hand. So nothing is downloaded, and the index can be slow or absent when a test wants it.
"""

from __future__ import annotations

import ast
import hashlib
import http.server
import importlib.util
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
import zipfile
from collections import namedtuple
from importlib.metadata import distribution
from pathlib import Path

import pytest

from utils import ROOT

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "transformer-book-companion"
version = "0.1.0"
dependencies = [
    "torch==2.13.0",
]
[project.scripts]
book = "utils.book.__main__:main"
[tool.setuptools.packages.find]
include = ["utils*"]
"""
COMMAND = """
import json, os, sys, time
def main():
    arguments = sys.argv[1:]
    if arguments == ["sleep"]:
        try:
            print("asleep", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            sys.exit(42)
    import part
    told = {"arguments": arguments, "python": sys.executable, "part": part.VERSION, "home": __file__}
    print(json.dumps(told | {name: os.environ.get(name) for name in ("JUPYTER_PREFER_ENV_PATH", "PATH")}))
    sys.exit(7 if "fail" in arguments else 0)
if __name__ == "__main__":
    main()
"""


class Index:
    """A package index on loopback; wheels in `held` wait for `release`, `refused` ("simple", "files") answers 403."""

    def __init__(self, folder: Path):
        self.folder, self.held, self.asked, self.gate = folder, set(), threading.Event(), threading.Event()
        self.refused = None
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                parts = self.path.strip("/").split("/")
                if parts[0] == index.refused:
                    return self.send_error(403)
                if parts[0] == "files":
                    if parts[1] in index.held:
                        index.asked.set()
                        index.gate.wait(60)
                    body, kind = (index.folder / parts[1]).read_bytes(), "application/zip"
                else:
                    name = parts[1].replace("-", "_")
                    found = sorted(index.folder.glob(f"{name}-*.whl"))
                    body, kind = "".join(f'<a href="/files/{w.name}">{w.name}</a>' for w in found).encode(), "text/html"
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    pass  # pip was interrupted

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/simple"

    def hash(self, line: str) -> str:
        """SHA-256 of the wheel that a line like "part==1.0" means; zeros where there is none."""
        path = self.folder / f"{line.replace('==', '-')}-py3-none-any.whl"
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0" * 64

    def hold(self, wheel: str):
        self.held, self.asked, self.gate = {wheel}, threading.Event(), threading.Event()

    def release(self):
        self.held = set()
        self.gate.set()


def make_wheel(folder: Path, name: str, version: str) -> None:
    """A package of one line, as a wheel."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f'VERSION = "{version}"\n')
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        files = (f"{name}.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD")
        wheel.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in files))


def repack(folder: Path, name: str) -> str:
    """The installed package `name` as a wheel again; its version."""
    installed = distribution(name)
    files = [f for f in installed.files if ".." not in f.parts and "__pycache__" not in f.parts and f.locate().is_file()]
    with zipfile.ZipFile(folder / f"{name}-{installed.version}-py3-none-any.whl", "w") as wheel:
        for file in files:
            if file.name not in ("RECORD", "INSTALLER", "REQUESTED"):
                wheel.write(file.locate(), file.as_posix())
        wheel.writestr(f"{name}-{installed.version}.dist-info/RECORD", "".join(f"{f.as_posix()},,\n" for f in files))
    return installed.version


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for name, version in (("torch", "2.13.0"), ("part", "1.0"), ("part", "2.0"), ("other", "1.0")):
        make_wheel(folder, name, version)
    index = Index(folder)
    index.setuptools = repack(folder, "setuptools")
    yield index
    index.server.shutdown()


class Clone:
    """A fresh copy of the launcher with a tiny lock and a stub of the command."""

    def __init__(self, folder: Path, index: Index):
        self.folder, self.index = folder, index
        (folder / "utils" / "book").mkdir(parents=True)
        shutil.copy(ROOT / "book.py", folder)
        shutil.copy(ROOT / "utils" / "book" / "environment.py", folder / "utils" / "book")
        for name, text in (("__init__", ""), ("book/__init__", ""), ("book/__main__", COMMAND)):
            (folder / "utils" / f"{name}.py").write_text(text, encoding="utf-8")
        (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        self.lock("1.0")

    def lock(self, part: str, *more: str) -> None:
        names = (f"part=={part}", f"setuptools=={self.index.setuptools}", *more)
        lines = [f"{name} \\\n    --hash=sha256:{self.index.hash(name)}" for name in names]
        (self.folder / "requirements.lock").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def variables(self, **changed: str) -> dict:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "CONDA_", "PYTHON", "VIRTUAL_ENV"))}
        settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.index.address, "PIP_NO_CACHE_DIR": "1", "PIP_NO_COMPILE": "1", "PIP_RETRIES": "1"}
        return kept | settings | changed

    def start(self, *arguments: str, python: str = sys.executable, **options) -> subprocess.Popen:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        options = {"env": self.variables(), "text": True, "encoding": "utf-8", "start_new_session": True, **pipes, **options}
        return subprocess.Popen([python, str(self.folder / "book.py"), *arguments], **options)

    def run(self, *arguments: str, **options) -> tuple[int, str]:
        process = self.start(*arguments, **options)
        said = process.communicate(timeout=120)[0]
        return process.returncode, said

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    @property
    def log(self) -> str:
        return (self.venv / "install.log").read_text(encoding="utf-8")

    @property
    def packages(self) -> Path:
        return next(self.venv.glob("lib/python3*/site-packages"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, index):
    """A clone after its first call, and what that call said; tests that use it leave it working."""
    clone = Clone(tmp_path_factory.mktemp("frisch er Klön"), index)
    clone.code, clone.said = clone.run("build", "-p", "a=b")
    return clone


@pytest.fixture
def clone(tmp_path, index):
    return Clone(tmp_path / "neuer Klön", index)


def load(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def launcher(clone):
    """book.py of a fresh clone, as a module, so that a test can put it on another machine."""
    return load("launcher", clone.folder / "book.py")


def last_json(said: str) -> dict:
    return json.loads(said.strip().splitlines()[-1])


def test_first_call_makes_the_environment_and_hands_over(made):
    assert made.code == 0, made.said
    told = last_json(made.said)
    assert told["arguments"] == ["build", "-p", "a=b"]
    assert Path(told["python"]).parent == made.venv / "bin" and told["JUPYTER_PREFER_ENV_PATH"] == "1"
    assert told["PATH"].split(os.pathsep)[0] == str(made.venv / "bin")
    said = re.findall(r"^(.+) · \d+ s · installed$", made.said, re.M)
    assert said == ["PyTorch", "libraries", "packages without a wheel", "what PyTorch brings", "this book"]
    assert "Collecting" not in made.said and "Collecting torch==2.13.0" in made.log  # pip's own words only in the log


def test_second_call_takes_less_than_a_second_and_adds_no_words(made):
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        code, said = made.run("run", "1")
        seconds.append(time.monotonic() - began)
        assert code == 0 and len(said.splitlines()) == 1
    assert min(seconds) < 1


def test_a_utils_of_the_current_folder_is_not_taken_for_ours(made, tmp_path):
    (tmp_path / "utils.py").write_text("raise RuntimeError('the wrong utils')", encoding="utf-8")
    code, said = made.run("run", cwd=tmp_path)
    assert code == 0 and last_json(said)["home"].startswith(str(made.folder))


def test_the_console_command_book_is_installed(made):
    done = subprocess.run([made.venv / "bin" / "book", "serve"], capture_output=True, text=True, env=made.variables())
    assert json.loads(done.stdout)["arguments"] == ["serve"]


def test_the_exit_code_is_the_commands_own(made):
    assert made.run("fail")[0] == 7


def test_ctrl_c_reaches_the_command_and_its_exit_code_comes_back(made):
    process = made.start("sleep")
    assert process.stdout.readline() == "asleep\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "" and process.returncode == 42


def test_a_changed_lock_is_installed_on_the_next_call(made):
    made.lock("2.0")
    code, said = made.run("run")
    assert code == 0 and last_json(said)["part"] == "2.0"


def test_a_removed_package_is_put_back(made):
    made.lock("1.0")
    subprocess.run([made.venv / "bin" / "python", "-m", "pip", "uninstall", "-q", "-y", "part"], check=True, env=made.variables())
    code, said = made.run("run")
    assert code == 0 and last_json(said)["part"] == "1.0"


def test_a_half_installed_package_is_installed_again(made):
    (made.packages / "part-1.0.dist-info" / "RECORD").unlink()  # pip writes it last
    (made.packages / "part.py").unlink()
    code, said = made.run("run")
    assert code == 0 and last_json(said)["part"] == "1.0"


def test_an_interrupted_installation_goes_on_where_it_stopped_and_a_second_command_waits(clone, index):
    for sent in (signal.SIGKILL, signal.SIGINT):
        index.hold("part-1.0-py3-none-any.whl")
        process = clone.start("build")
        assert index.asked.wait(60), "pip never asked for the held package"
        os.killpg(process.pid, sent)
        said = process.communicate(timeout=20)[0]
        assert process.returncode != 0 and not (clone.venv / "book-stamp").exists()
        assert ("goes on from there" in said) == (sent == signal.SIGINT)
        (clone.venv / "kept").touch()
    index.hold("part-1.0-py3-none-any.whl")
    first = clone.start("one")
    assert index.asked.wait(60)
    second = clone.start("two")
    assert "waiting for it" in second.stdout.readline()
    index.release()
    said = first.communicate(timeout=60)[0], second.communicate(timeout=60)[0]
    assert [last_json(s)["arguments"] for s in said] == [["one"], ["two"]] and last_json(said[0])["part"] == "1.0"
    assert "installed" not in said[1] and clone.log.count("Successfully installed torch-2.13.0") == 1
    assert (clone.venv / "kept").exists(), "the environment was made anew instead of finished"


def test_interrupted_while_the_venv_itself_was_made(launcher, clone):
    clone.venv.mkdir()
    (clone.venv / "install.log").touch()  # begun, and no Python in it yet
    launcher.environment.discard_broken(repair=False)
    assert not clone.venv.exists(), "nothing is asked, since nothing is lost"


def break_it(clone: Clone) -> None:
    for name in ("python", "python3"):
        (clone.venv / "bin" / name).unlink()
    (clone.venv / "bin" / "python").symlink_to(clone.folder / "a Python that was upgraded away")


def on_terminal(clone: Clone, answer: str) -> tuple[int, str]:
    """Run `book.py build` on a terminal of its own and type one answer to its question."""
    ours, theirs = pty.openpty()
    process = clone.start("build", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 4096)
    os.write(ours, answer.encode() + b"\n")
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:  # Linux reports the end of a terminal in this way
        pass
    os.close(ours)
    return process.wait(60), said.decode("utf-8", "replace")


def test_a_broken_environment_is_named_and_made_anew_only_when_wanted(made):
    break_it(made)
    code, said = made.run("build")
    assert code == 1 and said == "Error: The environment in .venv is broken: `python3 book.py --repair` makes it anew.\n"
    code, said = on_terminal(made, "n")
    assert code == 1 and os.path.islink(made.venv / "bin" / "python"), "it was changed though the answer was no"
    code, said = on_terminal(made, "y")
    assert code == 0 and "libraries" in said and '"part": "1.0"' in said


def test_repair_makes_a_working_environment_anew_too(launcher, clone, monkeypatch):
    venv.create(clone.venv, symlinks=True)
    steps = []
    monkeypatch.setattr(launcher.environment, "works", lambda: True)
    monkeypatch.setattr(launcher.environment, "install", lambda *_: steps.append(clone.venv.exists()))
    launcher.environment.prepare(launcher.find_python, repair=True)
    assert steps == [False], "the old one is gone before the new one is made"


def test_a_foreign_venv_of_another_python_is_not_removed_silently(clone):
    clone.venv.mkdir()
    (clone.venv / "of mine").touch()
    code, said = clone.run("build")
    assert code == 1 and "--repair" in said and (clone.venv / "of mine").exists()


def test_no_network_is_one_sentence_and_what_is_there_stays(made):
    made.lock("1.0", "other==1.0")
    code, said = made.run("build", env=made.variables(PIP_INDEX_URL="http://127.0.0.1:9/simple"))  # nobody listens on port 9
    assert code == 1 and "No network" in said and "Traceback" not in said
    assert [line for line in said.splitlines() if line.startswith("Error: ")] == [said.splitlines()[-1]]
    code, said = made.run("build")
    assert code == 0 and (made.packages / "other.py").exists()


@pytest.mark.parametrize("what, words", [("files", "refuses to give"), ("simple", "or pip's index withholds it")])
def test_an_index_that_refuses_is_not_taken_for_a_missing_package(made, monkeypatch, what, words):
    made.lock("1.0", "other==1.0")
    with monkeypatch.context() as patch:
        patch.setattr(made.index, "refused", what)
        shutil.rmtree(made.packages / "other-1.0.dist-info", ignore_errors=True)
        code, said = made.run("build")
    assert code == 1 and words in said.splitlines()[-1]
    assert made.run("build")[0] == 0


def test_what_the_lock_does_not_mean_is_not_installed_and_named(made):
    """A package that does not exist, one whose file was altered, one without a hash."""
    made.lock("1.0", "absent==9.9")
    code, said = made.run("build")
    assert code == 1 and "absent==9.9" in said.splitlines()[-1]
    made.lock("2.0")
    lock = made.folder / "requirements.lock"
    lock.write_text(lock.read_text().replace(made.index.hash("part==2.0"), "1" * 64), encoding="utf-8")
    code, said = made.run("build")
    assert code == 1 and "is not the file that requirements.lock names" in said.splitlines()[-1] and "Traceback" not in said
    lock.write_text(f"part==2.0\nsetuptools=={made.index.setuptools}\n", encoding="utf-8")
    assert made.run("build")[0] == 1
    assert 'VERSION = "1.0"' in (made.packages / "part.py").read_text()
    made.lock("1.0")
    assert made.run("build")[0] == 0


def test_without_arguments_it_helps_and_makes_nothing(clone):
    for arguments in ([], ["--help"], ["-h"]):
        code, said = clone.run(*arguments)
        assert code == 0 and "python3 book.py build" in said and not clone.venv.exists()


def test_less_than_five_gigabytes_free(launcher, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10e9, 6e9, 4e9))
    monkeypatch.setattr(launcher.environment, "has_nvidia_driver", lambda: False)
    with pytest.raises(SystemExit, match=r"needs 5 GB of disk and 4.0 GB are free"):
        launcher.environment.prepare(launcher.find_python)
    assert not os.path.exists(launcher.environment.VENV)


def test_what_is_installed_already_counts_as_free_disk(launcher, monkeypatch):
    usage = namedtuple("usage", "total used free")
    os.makedirs(launcher.environment.VENV)
    with open(os.path.join(launcher.environment.VENV, "large"), "wb") as file:
        file.truncate(2 * 10**9)  # takes no room on the disk, and says that it does
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10e9, 6e9, 4e9))
    reached = []
    monkeypatch.setattr(launcher.environment, "pip", lambda *_: reached.append(True))
    monkeypatch.setattr(launcher.environment, "torch_index", lambda _: "")
    monkeypatch.setattr(launcher.environment, "has_nvidia_driver", lambda: False)
    launcher.environment.install(launcher.find_python, None)
    assert reached


def test_the_larger_cuda_build_needs_more_disk(launcher, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(20e9, 12e9, 8e9))
    with pytest.raises(SystemExit, match=r"needs 12 GB of disk and 8.0 GB are free"):
        launcher.environment.prepare(launcher.find_python, wanted="cuda")


@pytest.mark.parametrize("file", ["book.py", "utils/book/environment.py"])
def test_an_old_python_can_read_the_file_that_tells_it_so(file):
    ast.parse((ROOT / file).read_text(encoding="utf-8"), feature_version=(3, 6))


def test_too_old_a_python_is_told_what_it_needs(launcher, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"needs Python 3.11, 3.12 or 3.13; this is 3.9 and PATH has no other"):
        launcher.find_python(running=(3, 9))


def test_too_old_a_python_takes_a_fitting_one_from_the_path_and_passes_over_dead_names(launcher, monkeypatch, tmp_path):
    for folder in ("shims", "good"):
        (tmp_path / folder).mkdir()
        shim = tmp_path / folder / "python3.11"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n' if folder == "good" else "#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}{os.pathsep}{tmp_path / 'good'}")
    assert Path(launcher.find_python(running=(3, 9))).exists()
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    with pytest.raises(SystemExit, match="needs Python"):
        launcher.find_python(running=(3, 9))


def test_a_python_without_venv_is_told_the_package_to_install(launcher, monkeypatch):
    ask = launcher.environment.ask
    monkeypatch.setattr(launcher.environment, "ask", lambda command, code: "" if "ensurepip" in code else ask(command, code))
    version = "%d.%d" % sys.version_info[:2]
    with pytest.raises(SystemExit, match=f"sudo apt install python{version}-venv"):
        launcher.find_python()


def test_here_installs_into_the_environment_that_runs_and_keeps_to_it(clone, tmp_path):
    """As in a conda environment, where `python` is the environment's own."""
    prefix = tmp_path / "conda env"
    venv.create(prefix, symlinks=True, with_pip=True)
    python = str(prefix / "bin" / "python")
    packages = next(prefix.glob("lib/python3*/site-packages"))
    (packages / "of_conda-1.0.dist-info").mkdir()  # conda's packages need not have a RECORD
    code, said = clone.run("--here", "build", python=python)
    assert code == 0 and "installed" in said and not clone.venv.exists()
    code, said = clone.run("build", python=python)
    assert code == 0 and len(said.splitlines()) == 1 and Path(last_json(said)["python"]).parent == prefix / "bin"
    code, said = clone.run("build", env=clone.variables(CONDA_PREFIX=str(prefix)))
    assert code == 0 and Path(last_json(said)["python"]).parent == prefix / "bin", "an active conda environment, started by another Python"
    code, said = clone.run("--repair", python=python)
    assert code == 1 and "this is another environment" in said
    assert (packages / "of_conda-1.0.dist-info").exists() and not clone.venv.exists()


def test_the_environment_of_another_copy_of_the_book_is_left_alone(launcher, clone, made, monkeypatch):
    """As when the .venv of one copy is active and a command of another is typed."""
    assert (made.venv / "book-stamp").exists()
    monkeypatch.setattr(sys, "prefix", str(made.venv))
    monkeypatch.setenv("CONDA_PREFIX", str(made.venv))
    assert not launcher.environment_here(False) and launcher.environment.VENV == str(clone.venv)


def test_here_says_what_it_cannot_install_into(launcher, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"--here needs an environment with Python 3.11, 3.12 or 3.13; this is 3.10"):
        launcher.environment_here(True)
    launcher.environment.use(str(tmp_path / "not" / "there"), sys.executable)
    with pytest.raises(SystemExit, match=r"there cannot be written \(No such file.*leave --here out"):
        launcher.environment.pip("libraries", "--version")


def test_two_copies_of_the_book_in_one_environment_renew_it_for_themselves(launcher, clone, index, tmp_path):
    other = load("other", Clone(tmp_path / "another copy", index).folder / "book.py")
    assert launcher.environment.fingerprint() == other.environment.fingerprint()
    for each in (launcher, other):
        each.environment.use(str(tmp_path), sys.executable)
    assert launcher.environment.fingerprint() != other.environment.fingerprint()


def test_a_conda_environment_of_something_else_is_left_alone(clone, monkeypatch, tmp_path):
    (tmp_path / "other" / "conda-meta").mkdir(parents=True)
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "other"))
    launcher = load("launcher", clone.folder / "book.py")
    assert not launcher.environment_here(False) and launcher.environment.VENV == str(clone.venv)


CPU, CUDA = "https://download.pytorch.org/whl/cpu", "https://download.pytorch.org/whl/cu130"


@pytest.mark.parametrize(
    ("system", "build", "configured", "address"),
    [
        ("linux", "cpu", {}, CPU),
        ("linux", "cuda", {}, None),  # PyPI's own
        ("linux", "cpu", {"PIP_FIND_LINKS": "/wheels"}, None),
        ("linux", "cpu", {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}, None),
        ("linux", "cpu", {"PIP_EXTRA_INDEX_URL": "http://127.0.0.1:9/simple"}, None),
        ("linux", "cpu", {"PIP_TIMEOUT": "5", "PIP_FIND_LINKS": ""}, CPU),  # settings that choose no index
        ("win32", "cpu", {}, CPU),
        ("win32", "cuda", {}, CUDA),
        ("darwin", "cpu", {}, None),
    ],
)
def test_pytorchs_own_index_only_where_it_is_needed(launcher, monkeypatch, system, build, configured, address):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name, value in configured.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(launcher.environment, "PYTHON", sys.executable)
    monkeypatch.setattr(launcher.environment, "WINDOWS", system == "win32")
    monkeypatch.setattr(sys, "platform", system)
    assert (launcher.environment.torch_index(build) or None) == address


def test_another_build_of_pytorch_is_installed_only_when_asked_for(made):
    assert (made.venv / "book-stamp").read_text(encoding="utf-8").split()[:2] == [lock_hash(made), "cpu"]
    assert "PyTorch" not in made.run("run", "--torch", "auto")[1]
    code, said = made.run("run", "--torch", "cuda")
    assert code == 0 and "PyTorch · " in said and (made.venv / "book-stamp").read_text(encoding="utf-8").split()[1] == "cuda"
    assert "PyTorch" not in made.run("run")[1], "a call without --torch keeps what was chosen"
    code, said = made.run("run", "--torch", "gpu")
    assert code == 2 and "invalid choice" in said


def lock_hash(clone: Clone) -> str:
    return hashlib.sha256((clone.folder / "requirements.lock").read_bytes() + b"torch==2.13.0").hexdigest()
