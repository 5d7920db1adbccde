"""The chart of analyse.py: what 100 became (log scale), and how far below its peak each one is."""

import os

os.environ.setdefault("MPLCONFIGDIR", "/tmp")  # its font cache; not among the results
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

# Told apart with and without full sight of colour (Okabe and Ito), then repeated.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LABEL_GAP = 0.045  # of the plot's height: names nearer than this would overlap


def spread(heights):
    """The heights moved apart so that no two are nearer than LABEL_GAP, in their order."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    moved = list(heights)
    for below, above in zip(order, order[1:]):
        moved[above] = max(moved[above], moved[below] + LABEL_GAP)
    ceiling = 1.0
    for index in reversed(order):  # and back below the top
        moved[index] = min(moved[index], ceiling)
        ceiling = moved[index] - LABEL_GAP
    return moved


def name_lines(axes, all_series, lines, ends):
    """Writes each symbol at the right end of its line."""
    to_axes = axes.transData + axes.transAxes.inverted()
    last = max(series.months[-1] for series in all_series)
    heights = [to_axes.transform((0, end))[1] for end in ends]
    for series, line, height in zip(all_series, lines, spread(heights)):
        x = axes.transAxes.inverted().transform(
            axes.transData.transform((axes.convert_xunits(last), 1)))[0]
        axes.text(x + 0.008, height, series.symbol, transform=axes.transAxes, va="center",
                  color=line.get_color(), fontsize=10, fontweight="bold", clip_on=False)


def draw(all_series, path):
    figure, (growth, falls) = plt.subplots(
        2, 1, sharex=True, figsize=(10, 7), dpi=120, layout="constrained",
        gridspec_kw={"height_ratios": [2, 1]})
    lines, ends = [], []
    for index, series in enumerate(all_series):
        colour = COLOURS[index % len(COLOURS)]
        indexed = [100 * price / series.prices[0] for price in series.prices]
        lines += growth.plot(series.months, indexed, color=colour, linewidth=1.6)
        ends.append(indexed[-1])
        falls.plot(series.months, series.drawdowns(), color=colour, linewidth=1.2)
    growth.set_yscale("log")
    growth.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    growth.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    growth.yaxis.set_minor_formatter(NullFormatter())
    growth.axhline(100, color="#777777", linewidth=1.0, zorder=0)
    growth.set_title("What 100 became (log scale, from each stock's first month)", loc="left",
                     fontsize=12, fontweight="bold")
    falls.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    falls.set_ylim(top=0)
    falls.set_title("Below its highest price so far", loc="left", fontsize=12, fontweight="bold")
    for axes in (growth, falls):
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(which="both", length=0)
        axes.margins(x=0.0)
    figure.canvas.draw()  # fixes the scales, which the names need
    name_lines(growth, all_series, lines, ends)
    figure.savefig(path)
    plt.close(figure)
