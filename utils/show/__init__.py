"""Pictures that a chapter shows. Imported by chapters: `from utils import show`."""

from utils.show import attention, attribution, curves
from utils.show.figures import figure

__all__ = ["attention", "attribution", "curves", "figure"]
