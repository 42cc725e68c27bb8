"""For all tests, those of tests/ and the notebooks of chapters/."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may try the network

pytest_plugins = ["utils.book.reference"]
