"""For all tests, those of tests/ and the notebooks of chapters/."""

import os
import signal
import subprocess
import sys

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may try the network
# A shell starts background jobs deaf to Ctrl-C, and they pass that on; what tests start has to hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["utils.book.reference"]


@pytest.fixture(scope="session")
def two_processes():
    """code → what it prints in two processes that order their sets differently; both have to end well and print something."""

    def run(code):
        told = []
        for seed in ("1", "2"):
            env = {**os.environ, "PYTHONHASHSEED": seed}
            done = subprocess.run([sys.executable, "-c", code], cwd=os.path.dirname(__file__), env=env, capture_output=True, text=True)
            assert done.returncode == 0 and done.stdout.strip(), done.stderr
            told.append(done.stdout)
        return told

    return run


@pytest.fixture(scope="session")
def warm():
    """A Python with the large libraries loaded: `warm.run(code, home)` tries code in a fork of it, without network."""
    from tests.warm import Warm

    python = Warm()
    yield python
    python.close()


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; a machine without one fails, and reads how to get it."""
    from playwright.sync_api import sync_playwright

    from utils.book import browser

    found = browser.find()
    if found is None:
        pytest.fail(f"The tests of pages need Chrome, Chromium or Edge: {browser.how_to_get()}")
    flags = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=flags.split())
        yield running
        running.close()
