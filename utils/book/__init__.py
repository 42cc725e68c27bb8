"""The command: executes the chapters, checks them, builds the site, trains and verifies the small models.

Chapters never import this package; only papermill, Sphinx and nbval are known here, and never torch, but in doctor and
in what the models' recipes import.
"""


class BookError(Exception):
    """What went wrong and what to do, in one sentence: shown to the user without a traceback, exit code 1."""
