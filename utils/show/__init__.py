"""Pictures that a chapter shows. Imported by chapters: `from utils import show`."""

from utils.show.figures import figure

__all__ = ["figure"]
