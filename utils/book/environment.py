"""Makes .venv from requirements.lock, finishes it after an interruption, renews it when the lock changed.

With `--here` the same is installed into the environment of the Python that runs: conda, Binder, JupyterHub, a container.

Loaded by book.py before anything is installed: standard library only, and no syntax newer than Python 3.6.
"""

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time

VERSIONS = ("3.11", "3.12", "3.13")
TORCH_INDEX = "https://download.pytorch.org/whl/"  # PyPI has no CPU build for Linux and no CUDA build for Windows
GIGABYTES = {"cpu": 5, "cuda": 12}  # that have to be free: 2.8 and 6.6 when installed, and what pip unpacks beside them
WINDOWS = os.name == "nt"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOCK = os.path.join(ROOT, "requirements.lock")  # all but PyTorch, with hashes
PROJECT = os.path.join(ROOT, "pyproject.toml")  # PyTorch's version
BUILT = ("lime",)  # has no wheel anywhere
OWN = os.path.join(ROOT, ".venv")
VENV = OWN  # the environment that is looked at; `use` takes another
PYTHON = os.path.join(VENV, *(["Scripts", "python.exe"] if WINDOWS else ["bin", "python"]))
HERE = "book-here-stamp"  # in an environment that --here was said for; the .venv of another copy of the book has none
STAMP = os.path.join(VENV, "book-stamp")  # written last: hash of the lock, PyTorch's build, what was installed
LOG = os.path.join(VENV, "install.log")  # all that pip said
AGAIN = ", then repeat the command; it goes on from here"
REASONS = (
    ("externally-managed-environment", "This Python belongs to the system: leave --here out, or activate an environment first"),
    ("DO NOT MATCH THE HASHES", "A package is not the file that requirements.lock names: an index or a proxy altered it"),
    ("No space left on device|not enough space on the disk", "The disk is full: free some gigabytes" + AGAIN),
    (
        "CERTIFICATE_VERIFY_FAILED|confirming the ssl certificate",
        "The certificate of an index is not trusted here, as behind a company's proxy: give pip that company's certificate "
        "(`pip config set global.cert FILE`)" + AGAIN,
    ),
    (
        "HTTP error 40[13] while getting",
        "A package index refuses to give a file: check the login or the rules of the index that `pip config list` shows" + AGAIN,
    ),
    (
        "NewConnectionError|ConnectTimeoutError|Read timed out|Name or service not known|name resolution|getaddrinfo"
        "|Network is unreachable|Cannot connect to proxy|Connection refused",
        "No network, and the environment is not complete yet: connect, or set your proxy" + AGAIN,
    ),
    (
        r"No matching distribution found for ([^\s;]+)",
        "There is no package {} for this system and Python (README.md says what is supported), or pip's index withholds it",
    ),
)


def stop(sentence):
    """End with one sentence and exit code 1."""
    sys.exit("Error: " + sentence)


def ask(command, code):
    """What a Python prints; empty when it is missing or broken."""
    try:
        done = subprocess.run(command + ["-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


def use(prefix, python):
    """Take the environment in the folder `prefix`, with this Python, in place of .venv."""
    global VENV, PYTHON, STAMP, LOG
    VENV, PYTHON = prefix, python
    STAMP, LOG = (os.path.join(prefix, name) for name in (HERE, "book-install.log"))


def prepare(find_python, wanted=None, repair=False):
    """Make the environment ready and return its Python; quick when it is ready.

    wanted: PyTorch's build, "cpu", "cuda", or "auto"/None for what is there or fits. repair: make .venv anew.
    """
    if repair or not ready(wanted):
        with exclusive():
            if repair or not ready(wanted):  # another command may have made it meanwhile
                discard_broken(repair)
                install(find_python, wanted)
    return PYTHON


def ready(wanted=None):
    """Is .venv complete, from this lock, with the wanted PyTorch, and does it run?"""
    made = stamp()
    return made[0] == fingerprint() and wanted in (None, "auto", made[1]) and works() and set(made[2:]) <= set(installed())


def works():
    """Does the Python of .venv run, and has it pip?"""
    return ask([PYTHON], "import sys, pip; print('%d.%d' % sys.version_info[:2])") in VERSIONS


def stamp():
    """The words of the stamp; two empty ones when .venv is unfinished."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            return file.read().split()
    except OSError:
        return ["", ""]


def fingerprint():
    """A hash of what is to be installed."""
    with open(LOCK, "rb") as file:
        parts = [file.read().replace(b"\r\n", b"\n"), torch().encode()]
    # an environment that is not our own may be used by another copy of the book
    return hashlib.sha256(b"".join(parts + ([] if VENV == OWN else [ROOT.encode("utf-8", "surrogateescape")]))).hexdigest()


def torch():
    """PyTorch as pyproject.toml asks for it, "torch==2.13.0"; nothing where it does not."""
    with open(PROJECT, encoding="utf-8") as file:
        found = re.search(r"""^\s*["'](torch==[^\s"';]+)""", file.read(), re.MULTILINE)
    return found.group(1) if found else ""


def installed():
    """The complete distributions in .venv, as name-version; RECORD is what pip writes last."""
    return [os.path.basename(path)[: -len(".dist-info")] for path in distributions() if os.path.exists(os.path.join(path, "RECORD"))]


def distributions():
    packages = os.path.join("Lib" if WINDOWS else os.path.join("lib", "python3*"), "site-packages", "*.dist-info")
    return glob.glob(os.path.join(glob.escape(VENV), packages))


def discard_broken(repair):
    """Remove a .venv that does not run: after asking, unless it was only begun."""
    if VENV != OWN or not os.path.lexists(VENV) or (works() and not repair):
        return
    begun = os.path.exists(LOG) and not os.path.exists(STAMP)
    if not repair and not begun:
        question = "The environment in .venv is broken. Make it anew? [y/N] "
        if not (sys.stdin and sys.stdin.isatty()) or input(question).strip().lower() not in ("y", "yes"):
            stop("The environment in .venv is broken: `python3 book.py --repair` makes it anew.")
    if os.path.isdir(VENV) and not os.path.islink(VENV):
        shutil.rmtree(VENV)
    else:
        os.remove(VENV)


def install(find_python, wanted):
    """All the steps from what there is to a complete .venv; each may be cut off and repeated."""
    before = stamp()[1]
    began = time.time()
    build = wanted if wanted in ("cpu", "cuda") else before or ("cuda" if has_nvidia_driver() else "cpu")
    need, free = GIGABYTES[build], shutil.disk_usage(ROOT if VENV == OWN else VENV).free / 1e9
    if free < need:
        has = sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(VENV) for name in names) / 1e9
        if free + has < need:
            stop("The environment needs {} GB of disk and {:.1f} GB are free: free some, then repeat the command.".format(need, free))
    if not os.path.isdir(VENV):
        python = find_python()
        print("Making the environment in .venv: once, some minutes; it goes on after an interruption.", flush=True)
        os.mkdir(VENV)
        with open(LOG, "ab") as log:
            if subprocess.call([python, "-m", "venv", VENV], stdout=log, stderr=log):
                stop("Python could not make .venv; its reason is in .venv/install.log.")
    for path in distributions():
        if VENV == OWN and not os.path.exists(os.path.join(path, "RECORD")):
            shutil.rmtree(path)  # cut off in the middle: pip would take it for installed
    if before and before != build:
        subprocess.call([PYTHON, "-m", "pip", "uninstall", "--quiet", "--yes", "torch"])
    if os.path.exists(STAMP):
        os.remove(STAMP)
    # PyTorch first, by its version, since its builds differ from index to index; nothing else is taken from its own index
    index = torch_index(build)
    if torch():
        pip("PyTorch", "--no-deps", torch(), *(["--index-url", index] if index else []))
    pip("libraries", "--no-deps", "--require-hashes", "--requirement", excerpt("libraries", lambda name: name not in BUILT))
    # built with the setuptools that is there now, not with one that pip would fetch without a hash
    built = excerpt("built", lambda name: name in BUILT)
    pip("packages without a wheel", "--no-deps", "--require-hashes", "--no-build-isolation", "--requirement", built)
    if torch() and not index:
        pip("what PyTorch brings", torch(), "--constraint", excerpt("versions", lambda name: True, hashes=False))  # NVIDIA's libraries, where this build needs them
    pip("this book", "--no-deps", "--no-build-isolation", "--editable", ROOT)
    with open(STAMP + ".tmp", "w", encoding="utf-8") as file:
        file.write("\n".join([fingerprint(), build] + installed()))
    os.replace(STAMP + ".tmp", STAMP)
    print("the environment is ready · {:.0f} s".format(time.time() - began), flush=True)


def torch_index(build):
    """The index of a build of PyTorch that the common one lacks; nothing where pip has indexes of its own: then they decide."""
    settings = subprocess.run([PYTHON, "-m", "pip", "config", "list"], stdout=subprocess.PIPE).stdout.decode("utf-8", "replace")
    if re.search(r"(index-url|find-links|no-index)='[^']", settings) or sys.platform == "darwin" or (build == "cuda" and not WINDOWS):
        return ""
    return TORCH_INDEX + ("cpu" if build == "cpu" else "cu130")


def excerpt(name, wanted, hashes=True):
    """Those packages of the lock that are wanted, as a file for pip; without hashes for its --constraint, beside PyTorch."""
    with open(LOCK, encoding="utf-8") as file:
        packages = re.findall(r"^[\w.-]+==.*(?:\n +--hash.*)*", file.read(), re.MULTILINE)
    kept = [package for package in packages if wanted(package.partition("==")[0])]
    path = os.path.join(VENV, "book-{}.txt".format(name))
    with open(path, "w", encoding="utf-8") as file:
        file.writelines((package if hashes else package.partition(" \\")[0]) + "\n" for package in kept)
    return path


def has_nvidia_driver():
    try:
        return subprocess.call(["nvidia-smi", "-L"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30) == 0
    except (OSError, subprocess.SubprocessError):
        return False


def pip(what, *arguments):
    """Run `pip install` under one live line; what pip says goes to the log, and a failure becomes a sentence."""
    variables = dict(os.environ, PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8", PIP_DISABLE_PIP_VERSION_CHECK="1")
    command = [PYTHON, "-m", "pip", "install", "--no-input", "--progress-bar", "off"] + list(arguments)
    try:
        log = open(LOG, "ab")
    except OSError as error:
        stop("{} cannot be written ({}): leave --here out, or take an environment of your own.".format(VENV, error.strerror))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables, cwd=ROOT)
    said, started, shown, live = [""], time.time(), 0, sys.stdout.isatty()

    def listen():
        with log:
            for raw in process.stdout:
                log.write(raw)
                said.append(raw.decode("utf-8", "replace").strip())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        while listener.is_alive():
            listener.join(0.2)
            seconds = int(time.time() - started)
            line = "{} · {} s · {}".format(what, seconds, doing(said))
            if live:
                print("\r\033[K" + line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
            elif seconds >= shown + 20:
                shown = seconds
                print(line, flush=True)
    finally:
        process.kill()  # without effect when it has ended by itself
    clear = "\r\033[K" if live else ""
    if process.wait() == 0:
        return print("{}{} · {:.0f} s · installed".format(clear, what, time.time() - started), flush=True)
    print(clear, end="")
    where = os.path.relpath(LOG, ROOT).replace(os.sep, "/") if VENV == OWN else LOG
    for pattern, sentence in REASONS:
        match = re.search(pattern, "\n".join(said))
        if match:
            stop(sentence.format(*match.groups()) + " (details: {}).".format(where))
    stop("pip could not install {}: {} (details: {})".format(what, next((s for s in reversed(said) if s), "no reason given"), where))


def doing(said):
    """What pip is at, from the lines it has said: the last package named, or how far the installation is."""
    for line in reversed(said):
        if line.startswith("Installing collected packages: "):
            names = {re.sub("[-_.]+", "-", name.strip()).lower() for name in line.split(":")[1].split(",")}
            there = {re.sub("[-_.]+", "-", name.rsplit("-", 1)[0]).lower() for name in installed()}
            return "installing {} of {}".format(len(names & there), len(names))
        if re.match("(Collecting|Downloading|Using cached|Building) ", line):
            return re.sub(r" \(from .*|\S*/", "", line)
    return "asking the index"


class exclusive:
    """One command at a time makes the environment; a second one waits."""

    def __enter__(self):
        os.makedirs(os.path.join(ROOT, "_build"), exist_ok=True)
        self.file, waiting = open(os.path.join(ROOT, "_build", "environment.lock"), "w"), False
        while True:
            try:
                if WINDOWS:
                    import msvcrt

                    return msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
                import fcntl

                return fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if not waiting:
                    print("Another command is making the environment; waiting for it.", flush=True)
                waiting = True
                time.sleep(0.5)

    def __exit__(self, *_):
        self.file.close()
