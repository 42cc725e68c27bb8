"""What a chapter imports: open it, claim something, check an exercise, show a picture.

Imported by chapters, tests and the command. Kept light: nothing here loads torch
before a chapter asks for it.
"""

import os
from pathlib import Path

__version__ = "0.1.0"

# The folder with chapters/, data/ and targets/; BOOK_ROOT names another one (the engine's tests do).
ROOT = Path(os.environ.get("BOOK_ROOT") or Path(__file__).parents[1]).resolve()

from utils.chapter import open_chapter  # noqa: E402  (they need ROOT)
from utils.claims import claim  # noqa: E402
from utils.exercises import check, hint  # noqa: E402
from utils.quizzes import quiz  # noqa: E402

__all__ = ["ROOT", "check", "claim", "hint", "open_chapter", "quiz"]
