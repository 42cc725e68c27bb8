"""For all tests, those of tests/ and the notebooks of chapters/."""

import os
import signal

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may try the network
# A shell starts background jobs deaf to Ctrl-C, and they pass that on; what tests start has to hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["utils.book.reference"]
