"""`book lab`: JupyterLab in chapters/, for this machine only, with a token."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

from utils import ROOT, targets
from utils.book import BookError, javascript, pool


def run(port: int = 0, browser: bool = True) -> None:
    """Start JupyterLab and stay until Ctrl-C.

    Its notebooks get what a run gets: this Python as kernel, its tools (tensorboard) on PATH, `utils` importable.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise BookError("JupyterLab is not installed here; run: python3 book.py build")
    try:
        javascript.ensure()
    except BookError as error:  # a reader without network can do all but the attention views
        print(error, file=sys.stderr)
    command = [sys.executable, "-m", "jupyterlab", *options(port, browser)]
    print("JupyterLab starts; Ctrl-C here ends it.")
    try:
        code = subprocess.run(command, cwd=ROOT, env=environment()).returncode
    except KeyboardInterrupt:  # the server got it too, and has ended
        return
    if code:
        raise BookError(f"JupyterLab ended with code {code}; its last lines are above.")


def options(port: int, browser: bool) -> list[str]:
    """Loopback only; the token is JupyterLab's own, new each time. The file browser begins in chapters/."""
    return [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={ROOT}",
        f"--ContentsManager.preferred_dir={ROOT / 'chapters'}",
        "--ServerApp.answer_yes=True",  # Ctrl-C once is enough
        "--LabApp.extension_manager=readonly",  # these two would ask other sites
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),  # containers
        *([] if browser else ["--no-browser"]),
    ]


def environment() -> dict[str, str]:
    """A run's environment, but with the reader's own IPython settings, and without JupyterLab's question about news."""
    env = pool.environment(targets.load("cpu"))
    del env["IPYTHONDIR"]
    settings = ROOT / "_build" / "lab"
    page = settings / "labconfig" / "page_config.json"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}), encoding="utf-8")
    env["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [str(settings), env.get("JUPYTER_CONFIG_PATH")]))
    return env
