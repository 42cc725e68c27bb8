"""For all tests, those of tests/ and the notebooks of chapters/."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may try the network

pytest_plugins = ["utils.book.reference"]


def pytest_configure(config):
    config.addinivalue_line("markers", "site: needs the built site and a browser")
