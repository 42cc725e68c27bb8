"""show.figure(): a Matplotlib figure with its alternative text. Imported by chapters."""

from __future__ import annotations

import base64
import html
import io


def figure(fig, alt: str) -> None:
    """Show `fig` once, with `alt` as its alternative text, and close it.

    alt: what a reader who cannot see the picture has to know: kind of plot, axes, what it shows.
    Raises ValueError when alt is too short to say that.
    """
    from IPython.display import display
    from matplotlib import pyplot as plt
    from PIL import Image

    if len(alt.split()) < 5:
        plt.close(fig)
        raise ValueError("alt has to say in a sentence what the figure shows, for readers who cannot see it")
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=2 * fig.dpi, facecolor="white")
    plt.close(fig)
    picture = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)  # a third of the size
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True)
    width = int(fig.get_figwidth() * fig.dpi)
    data = base64.b64encode(buffer.getvalue()).decode()
    image = f'<img class="figure" src="data:image/png;base64,{data}" alt="{html.escape(alt)}" width="{width}" style="max-width:100%;height:auto">'
    display({"text/plain": f"[figure: {alt}]", "text/html": image}, raw=True)
