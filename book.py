#!/usr/bin/env python3
"""Makes the book's own environment in .venv on first use, then hands over to its command.

    python3 book.py build     make the environment, execute the chapters, build the site, say where it is
    python3 book.py test      unit tests, the chapters against their references, the site in a browser
    python3 book.py doctor    what this machine has, what is missing and how to get it

Others: run, serve, lab, accept, models, lock, clean; each has --help. Options of book.py itself:

    --torch auto|cpu|cuda     which build of PyTorch (auto: CUDA where there is an NVIDIA driver)
    --repair                  make a broken .venv anew
    --here                    install into the environment of this Python instead: conda, a container, a hub's image

Standard library only. This file and utils/book/environment.py are readable for every Python from 3.6 on,
so that an old one can say what it needs.
"""

import argparse
import importlib.util
import os
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
WINDOWS = os.name == "nt"
# loaded by path: importing the package `utils` needs what is not installed yet
_spec = importlib.util.spec_from_file_location("environment", os.path.join(ROOT, "utils", "book", "environment.py"))
environment = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(environment)


def find_python(running=sys.version_info[:2]):
    """A Python that the lock was made for: the running one, else one on PATH (a name there may be an empty shim)."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    names = ["python" + version for version in environment.VERSIONS] + ["python3", "python"]
    commands = [[path] for path in (shutil.which(name, path=folder) for name in names for folder in folders) if path]
    commands += [["py", "-" + version] for version in environment.VERSIONS] if WINDOWS else []
    incomplete = ""
    for command in ([[sys.executable]] if "%d.%d" % running in environment.VERSIONS else []) + commands:
        answer = environment.ask(command, "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)")
        version, _, path = answer.partition(" ")
        if version in environment.VERSIONS:
            if environment.ask([path], "import venv, ensurepip; print(1)"):
                return path
            incomplete = incomplete or version
    if incomplete:
        environment.stop(
            "Python {0} is here without its venv and ensurepip (Debian and Ubuntu keep them apart): "
            "run `sudo apt install python{0}-venv`, then repeat the command.".format(incomplete)
        )
    environment.stop(
        "The book needs Python 3.11, 3.12 or 3.13; this is {}.{} and PATH has no other: "
        "install one of them, then repeat the command.".format(*running)
    )


def environment_here(asked):
    """Is the environment to be used the one of this Python, or an active one of conda? When asked for, now or before."""
    if asked and "%d.%d" % sys.version_info[:2] not in environment.VERSIONS:
        environment.stop("--here needs an environment with Python 3.11, 3.12 or 3.13; this is {}.{}.".format(*sys.version_info))
    for prefix in [sys.prefix] if asked else filter(None, (os.environ.get("CONDA_PREFIX"), sys.prefix)):
        if prefix != environment.OWN and (asked or os.path.isfile(os.path.join(prefix, environment.HERE))):
            inside = os.path.join(prefix, "python.exe" if WINDOWS else os.path.join("bin", "python"))
            environment.use(prefix, inside if prefix != sys.prefix else sys.executable)
            return True
    return False


def hand_over(python, arguments):
    """Become the command: same streams, exit code and Ctrl-C."""
    variables = dict(os.environ, JUPYTER_PREFER_ENV_PATH="1")
    variables["PATH"] = os.path.dirname(python) + os.pathsep + variables.get("PATH", "")
    variables.pop("PYTHONHOME", None)
    command = [python, "-P", "-m", "utils.book"] + arguments  # -P: never a `utils` of the folder one stands in
    sys.stdout.flush()
    if not WINDOWS:
        os.execve(python, command, variables)
    process = subprocess.Popen(command, env=variables)
    while True:
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:  # the command has got it too, and ends in its own way
            pass


def main():
    parser = argparse.ArgumentParser(prog="book.py", add_help=False, allow_abbrev=False)
    parser.add_argument("--torch", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--repair", action="store_true")
    parser.add_argument("--here", action="store_true")
    own, arguments = parser.parse_known_args()
    if arguments in ([], ["-h"], ["--help"]) and not (own.repair or own.here):
        return print(__doc__)
    if environment_here(own.here) and own.repair:
        environment.stop("--repair makes .venv anew; this is another environment: make it anew with the tool it was made with.")
    python = environment.prepare(find_python, own.torch, own.repair)
    if arguments:
        hand_over(python, arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; what was installed is kept, and the same command goes on from there.")
