"""Plots of the committed results: bench/results/*.json -> docs/plots/*.svg.

    .venv-bench/bin/python -m bench.plots

Of results that are there; the same results give the same bytes. Text stays text, on no background, in a grey that is
readable on a light page and on a dark one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.figure import Figure

from bench.machine import RESULTS

FOLDER = Path(__file__).parents[1] / "docs" / "plots"
GREY = "#808890"
OURS, PEER = "#2f81f7", "#e5793a"
COLOURS = {"mohawk": OURS, "llama.cpp": PEER}
STYLE = {
    "svg.hashsalt": "mohawk",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.figsize": (7.0, 3.4),
}
Result = dict[str, Any]


def plot_throughput(result: Result, figure: Figure) -> None:
    axes = figure.subplots()
    counts = sorted(result["by_sessions"], key=int)
    for name, colour in COLOURS.items():
        rates = [result["by_sessions"][count][name]["whole"] for count in counts]
        axes.plot([int(count) for count in counts], rates, color=colour, marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks([int(count) for count in counts], counts)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("sessions at once")
    axes.set_ylabel("tokens per second")
    axes.legend()


def plot_long_prompt(result: Result, figure: Figure) -> None:
    axes = figure.subplots()
    for name, colour in COLOURS.items():
        drawn = result["last_round"][name]
        begin = drawn["long_prompt_sent"]
        times = [number * drawn["span"] - begin for number in range(len(drawn["longest_gap_ms"]))]
        first = drawn["long_prompt_first_token"] - begin
        axes.plot(times, drawn["longest_gap_ms"], color=colour, label=f"{name}: its first token after {first:.1f} s")
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    axes.set_yscale("log")
    axes.set_xlabel("seconds since the prompt of 2,000 tokens was sent")
    axes.set_ylabel("longest wait of a reader, ms")
    figure.legend(loc="outside upper center", ncols=2)


def plot_failover(result: Result, figure: Figure) -> None:
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    for axes, (fault, title) in zip(panels, (("kill", "kill -9"), ("stop", "SIGSTOP")), strict=True):
        counts = result["rounds"][fault][-1]["timeline"]
        edges = [number * result["span_width"] - result["span_before"] for number in range(len(counts) + 1)]
        axes.stairs(counts, edges, fill=True, color=OURS)
        axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
        axes.set_title(title, loc="left", fontsize=10)
    panels[1].set_xlabel("seconds since the signal reached a stage")
    figure.supylabel(f"tokens of 8 streams in {1000 * result['span_width']:.0f} ms", color=GREY, fontsize=10)


PLOTS = {"throughput": plot_throughput, "long_prompt": plot_long_prompt, "failover": plot_failover}


def draw(name: str, result: Result, folder: Path = FOLDER) -> Path:
    """One plot as SVG; where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    with pyplot.rc_context(STYLE):
        figure = pyplot.figure(layout="constrained")
        PLOTS[name](result, figure)
        path = folder / f"{name.replace('_', '-')}.svg"
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    return path


def main() -> None:
    for name in PLOTS:
        source = RESULTS / f"{name}.json"
        if source.exists():
            print(draw(name, json.loads(source.read_text("utf-8"))))


if __name__ == "__main__":
    main()
