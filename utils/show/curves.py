"""show.curves: what TensorBoard would show, read from its event files. Imported by chapters.

A TensorBoard server does not live on a static page; the files it reads do. Each function returns a Matplotlib figure
for `show.figure`, or the plain values.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

_EVERYTHING = {"scalars": 0, "histograms": 0, "tensors": 0, "images": 1, "graph": 1}


def events(folder: str | Path) -> EventAccumulator:
    """The events of one run, all of them loaded. Raises FileNotFoundError when the folder holds none."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not list(Path(folder).glob("events.out.tfevents.*")):
        raise FileNotFoundError(f"There are no TensorBoard events in {Path(folder).name!r}; close the SummaryWriter first.")
    return EventAccumulator(str(folder), size_guidance=_EVERYTHING).Reload()


def values(folder: str | Path, tag: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one scalar."""
    points = _known(events(folder), "scalars", tag).Scalars(tag)
    return np.array([p.step for p in points]), np.array([p.value for p in points])


def scalars(runs: dict[str, str | Path], tags: dict[str, str]) -> Figure:
    """One panel for each tag, one line for each run. runs: name → folder; tags: tag → label of its axis."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(tags), figsize=(3.6 * len(tags), 3.3), squeeze=False)
    for panel, (tag, label) in zip(panels[0], tags.items(), strict=True):
        for number, (name, folder) in enumerate(runs.items()):
            steps, numbers = values(folder, tag)
            panel.plot(steps, numbers, ("-", "--", "-.", ":")[number % 4], marker="o" if len(steps) < 15 else "", label=name)
        panel.set(xlabel="step", ylabel=label)
    if len(runs) > 1:
        panels[0][0].legend()
    return figure


def histograms(folder: str | Path, tags: dict[str, str], bins: int = 60) -> Figure:
    """How a distribution moves: one panel for each tag, steps to the right, values upwards, dark where they are dense."""
    from matplotlib import pyplot as plt

    found = events(folder)
    figure, panels = plt.subplots(1, len(tags), figsize=(3.6 * len(tags), 3.3), squeeze=False)
    for panel, (tag, label) in zip(panels[0], tags.items(), strict=True):
        rows = _known(found, "histograms", tag).Histograms(tag)
        edges = np.linspace(*_range([r.histogram_value for r in rows]), bins + 1)
        density = np.stack([_rebin(r.histogram_value, edges) for r in rows])  # (steps, bins)
        steps = [r.step for r in rows]
        panel.pcolormesh(range(len(steps) + 1), edges, density.T, cmap="cividis_r")
        ticks = range(0, len(steps), max(1, len(steps) // 5))
        panel.set_xticks([t + 0.5 for t in ticks], [str(steps[t]) for t in ticks])
        panel.set(xlabel="step", ylabel=label)
        panel.grid(False)
    return figure


def _range(histograms) -> tuple[float, float]:
    """From where to where the middle 98 % of all values lie, so that a few outliers do not flatten the picture."""
    wide = np.linspace(min(h.min for h in histograms), max(h.max for h in histograms), 2001)
    below = np.cumsum(sum(_rebin(h, wide) for h in histograms)) / len(histograms)
    low, high = wide[1:][below >= 0.01][0], wide[:-1][below <= 0.99][-1]
    return (low, high) if low < high else (wide[0], wide[-1])


def _rebin(histogram, edges: np.ndarray) -> np.ndarray:
    """TensorBoard's buckets of uneven width as shares in even bins."""
    limits = np.clip(np.array([histogram.min, *histogram.bucket_limit]), edges[0], edges[-1])
    counts = np.concatenate([[0.0], np.cumsum(histogram.bucket)])
    return np.diff(np.interp(edges, np.maximum.accumulate(limits), counts)) / max(counts[-1], 1)


def pr_curve(folder: str | Path, tag: str) -> np.ndarray:
    """The last precision-recall curve of a tag: rows (precision, recall), one column for each threshold."""
    from tensorboard.util import tensor_util

    point = _known(events(folder), "tensors", tag).Tensors(tag)[-1]
    table = tensor_util.make_ndarray(point.tensor_proto)  # true and false positives, true and false negatives, precision, recall
    return table[4:6]


def texts(folder: str | Path, tag: str) -> list[str]:
    """The texts that were written under a tag."""
    points = _known(events(folder), "tensors", f"{tag}/text_summary").Tensors(f"{tag}/text_summary")
    return [p.tensor_proto.string_val[0].decode() for p in points]


def hyperparameters(folder: str | Path) -> dict[str, float | str | bool]:
    """What add_hparams wrote for one run: its parameters by name."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    content = events(folder).summary_metadata["_hparams_/session_start_info"].plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in sorted(found.items())}


def graph(folder: str | Path) -> list:
    """The nodes of the graph that add_graph wrote; each has a name, an op, and the names of its inputs."""
    return list(events(folder).Graph().node)


def embedding(folder: str | Path) -> tuple[np.ndarray, list[str]]:
    """The last embedding that add_embedding wrote: vectors (points, size) and their labels."""
    found = sorted(Path(folder).glob("*/*/tensors.tsv"))
    if not found:
        raise FileNotFoundError(f"There is no embedding in {Path(folder).name!r}; call add_embedding first.")
    labels = (found[-1].parent / "metadata.tsv").read_text(encoding="utf-8").splitlines()
    return np.loadtxt(found[-1], delimiter="\t", ndmin=2), labels


def _known(found: EventAccumulator, kind: str, tag: str) -> EventAccumulator:
    if tag not in found.Tags()[kind]:
        there = ", ".join(found.Tags()[kind]) or "none"
        raise KeyError(f"There are no {kind} under {tag!r}; there are: {there}.")
    return found
