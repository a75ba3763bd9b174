"""What one sees in each picture of a sweep, in words, with this sweep's numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlrun.figures import measures
from dlrun.report.words import listed, short_names
from dlrun.report.words import value as value_text

if TYPE_CHECKING:
    import pandas

    from dlrun.report.read import Sweep

MAX_TOLD = 4  # of many curves only the best are told


def ranking(sweep: Sweep, ranked: pandas.DataFrame) -> str:
    """Who leads, whose intervals overlap the leader's, and what the marks mean."""
    from dlrun.figures.sweep_ranking import MAX_RANKED

    known = ranked[ranked["mean"].notna()]
    shown = known.head(MAX_RANKED)
    best, last = shown.iloc[0], shown.iloc[-1]
    name = measures.metric_name(sweep.metric)
    some = f"The best {len(shown)} of {len(ranked)}" if len(shown) < len(ranked) else "All"
    text = [
        f"{some} settings, the best on top, by {name}: from {_value(sweep, best['mean'])} "
        f"({best['label']}) to {_value(sweep, last['mean'])} ({last['label']})."
    ]
    if math.isfinite(best["low"]):
        others = known.iloc[1:]
        overlapping = others[(others["low"] <= best["high"]) & (others["high"] >= best["low"])]
        text.append(
            f"The 95 % interval of the best, {_range(sweep, best['low'], best['high'])}, overlaps "
            f"that of {count(len(overlapping), 'other setting', 'no')}."
        )
    if shown["test_mean"].notna().any():
        text.append(
            "Filled dots are validation, which decides; open diamonds are the test split, "
            "which decides nothing."
        )
    return " ".join(text)


def best_curves(sweep: Sweep, best: pandas.DataFrame, averages: pandas.DataFrame) -> str:
    """Where each curve stands halfway and at the end, and how long it took."""
    name = measures.metric_name(sweep.metric)
    each = "Each at its own best setting" if len(best) > 1 else "The best setting"
    text = [f"{each}, {_over_seeds(best)}."]
    of_metric = averages[averages["metric"] == sweep.metric]
    told = []
    for series in list(best["series"])[:MAX_TOLD]:
        own = of_metric[of_metric["series"] == series]
        epochs = own[(own["against"] == "epoch") & own["mean"].notna()]
        seconds = own[own["against"] == "seconds"]
        if len(epochs) < 2:
            continue
        middle, last = epochs.iloc[len(epochs) // 2], epochs.iloc[-1]
        words = f"{series} "
        if len(epochs) > 2:
            words += f"{_value(sweep, middle['mean'])} after epoch {middle['x']:.0f} and "
        words += f"{_value(sweep, last['mean'])} after epoch {last['x']:.0f}"
        if len(seconds):
            words += f" ({duration(float(seconds['x'].max()))})"
        told.append(words)
    if told:
        text.append(f"{_capital(name)}: {'; '.join(told)}.")
    if (averages["against"] == "seconds").any():
        text.append("Against seconds an epoch stands at its mean time.")
    return " ".join(text)


def evaluations(sweep: Sweep, best: pandas.DataFrame, averages: pandas.DataFrame) -> str:
    """After how many evaluations each curve is as good as the worst of them ends."""
    name = measures.metric_name(sweep.metric)
    text = [
        "The same curves over how often the loss of a batch was computed, which is what a step "
        "costs: one for gradient descent, many for a search without gradients. (With its gradient "
        "a loss takes about three times as long.)"
    ]
    of_metric = averages[(averages["metric"] == sweep.metric) & averages["mean"].notna()]
    curves = {
        series: own
        for series in list(best["series"])[:MAX_TOLD]
        if len(own := of_metric[of_metric["series"] == series].sort_values("x"))
    }
    if len(curves) < 2:
        return text[0]
    sign = 1.0 if sweep.higher_is_better else -1.0
    level = sign * min(float((sign * own["mean"]).max()) for own in curves.values())
    told = []
    for series, own in curves.items():
        reached = own[sign * own["mean"] >= sign * level]
        told.append(f"{series} after {reached['x'].iloc[0]:,.0f}")
    text.append(f"To a {name} of {_value(sweep, level)} get: {listed(told)}.")
    return " ".join(text)


def sensitivity(sweep: Sweep, points: pandas.DataFrame, x_name: str, panel_name: str | None) -> str:
    """Where each curve is best, how far it stays close to that, and where runs diverged."""
    x_name = x_name.partition(" (")[0]
    text = [
        f"Each point is the best setting with that {x_name}"
        + (f" and {panel_name}" if panel_name else "")
        + f", {_over_seeds(points)}; a ring marks the best of a curve."
    ]
    finite = points[points["mean"].notna()]
    order = list(dict.fromkeys(finite.sort_values("rank")["series"]))
    for series in order[:MAX_TOLD]:
        own = finite[finite["series"] == series]
        best = own.sort_values("rank").iloc[0]
        where = f" with {panel_name} {best['panel']}" if panel_name else ""
        row = own[own["panel"] == best["panel"]].sort_values("x")
        close = row.loc[_close(sweep, row["mean"], best["mean"]), "x"]
        who = f"{series} is best" if len(order) > 1 else "Best"
        text.append(
            f"{who} at {measures.number_text(best['x'])}{where} "
            f"({_value(sweep, best['mean'])}), and {_closeness(sweep)} of that "
            + (
                f"from {measures.number_text(close.min())} to {measures.number_text(close.max())}."
                if len(close) > 1
                else "at no other value."
            )
        )
    diverged = points[points["num_diverged"] > 0]
    if len(diverged):
        places = [
            f"{series} at {listed(measures.number_text(x) for x in sorted(set(part['x'])))}"
            for series, part in diverged.groupby("series", sort=False)
        ]
        text.append(f"Crosses: runs that diverged ({listed(places, 6)}).")
    return " ".join(text)


def heat_map(sweep: Sweep, cells: pandas.DataFrame, series: Sequence[str]) -> str:
    """How the best learning rate moves with the batch size, beside what the rule says."""
    text = [
        f"Mean {measures.metric_label(sweep.metric)} of each pair, other hyper-parameters at "
        "their best; a frame marks the best pair."
    ]
    told = []
    for name in series[:MAX_TOLD]:
        own = cells[(cells["series"] == name) & cells["mean"].notna()]
        own = own[own["batch_size"] < math.inf]
        best = own.sort_values("rank").drop_duplicates("batch_size").sort_values("batch_size")
        if len(best) < 2:
            continue
        small, large = best.iloc[0], best.iloc[-1]
        told.append(
            f"{name}: from batch size {small['batch_size']:.0f} to {large['batch_size']:.0f} the "
            f"best learning rate goes from {measures.number_text(small['lr'])} to "
            f"{measures.number_text(large['lr'])}, a factor of "
            f"{measures.number_text(large['lr'] / small['lr'])}; the rule says "
            f"{measures.number_text(large['batch_size'] / small['batch_size'])}."
        )
    if told:
        text.append(
            "Dashed: constant learning rate / batch size, the rule by which dividing the batch by "
            "k is made up for by dividing the learning rate by k (Smith et al. 2018)."
        )
    return " ".join([*text, *told])


def optimizers(sweep: Sweep, judged: pandas.DataFrame) -> str:
    """Which optimizer leads in each of the three, and how they are measured."""
    best = judged.iloc[0]
    text = [
        f"Performance, {measures.metric_name(sweep.metric)} of the best setting with its 95 % "
        f"interval: {best['optimizer']} leads with {_value(sweep, best['performance'])}."
    ]
    if judged["speed"].notna().any():
        goal = _value(sweep, best["threshold"])
        text.append(f"Speed, the mean first epoch at {goal}: {_fastest(judged)}.")
    if judged["tuneability"].notna().any():
        text.append(f"Tuneability, the band of good learning rates: {_widest(judged)}.")
    text.append("All is chosen on validation, after Schneider et al. 2019 (DeepOBS).")
    return " ".join(text)


def _fastest(judged: pandas.DataFrame) -> str:
    reached = judged[judged["speed"] < math.inf]
    if reached.empty:
        return "none gets there with all its seeds"
    epochs = float(reached["speed"].min())
    first = [str(name) for name in reached.loc[reached["speed"] == epochs, "optimizer"]]
    return (
        f"{listed(first, 3)} {'gets' if len(first) == 1 else 'get'} there first, "
        f"after {epochs:.3g} {'epoch' if epochs == 1 else 'epochs'}"
    )


def _widest(judged: pandas.DataFrame) -> str:
    widest = judged.sort_values("tuneability", ascending=False, kind="stable").iloc[0]
    if not widest["tuneability"] > 0:
        return "none has one"
    words = (
        f"widest for {widest['optimizer']}, {'at least ' if widest['band_open'] else ''}"
        f"{widest['tuneability']:.1f} decades ({measures.number_text(widest['lr_low'])} to "
        f"{measures.number_text(widest['lr_high'])})"
    )
    if judged["band_open"].any():
        words += "; ≥ says that it reaches the end of what was tried"
    return words


def importance(sweep: Sweep, mattered: pandas.DataFrame) -> str:
    """Which hyper-parameter explains most, and what the bars mean."""
    first = mattered.iloc[0]
    shares = [
        f"{row['hyper_parameter']} {100 * row['share']:.0f} %"
        for row in mattered.head(6).to_dict("records")
    ]
    seed = mattered.loc[mattered["hyper_parameter"] == "seed", "share"]
    most = f"{first['hyper_parameter']} mattered most."
    if len(seed) and seed.iloc[0] > first["share"]:
        most = "No hyper-parameter by itself mattered as much as the seed does, which is noise."
    text = (
        f"{most} Share of the variance of "
        f"{measures.metric_name(sweep.metric)} over the values tried that each hyper-parameter "
        f"explains by itself: {', '.join(shares)}."
    )
    if (mattered["share_with_interactions"] - mattered["share"] > 0.005).any():
        text += " Light: what it explains together with others, which is counted for each of them."
    if len(seed):
        text += " The seed's share is the noise between runs of one setting."
    return text


def parallel_coordinates(
    sweep: Sweep, ranked: pandas.DataFrame, keys: Sequence[str], left_out: int
) -> str:
    """What the best quarter of the settings have in common; how many of all are not drawn."""
    known = ranked[ranked["mean"].notna()]
    best = known.head(max(1, len(known) // 4))
    names = short_names(sweep.swept)
    common = []
    for key in keys:
        words = _in_common(list(best[key]), list(ranked[key]))
        if words:
            common.append(f"{names[key]} {words}")
    text = (
        f"Each line is one of {len(ranked)} settings, from its hyper-parameters to its mean "
        f"{measures.metric_name(sweep.metric)} at the right, better ones higher; the thick line "
        "is the best."
    )
    if common and len(best) > 1:
        text += f" All of the best {len(best)} have {listed(common)}."
    elif len(best) > 1:
        text += f" The best {len(best)} are found all over the values tried."
    diverged = int((ranked["mean"].isna() & (ranked["num_diverged"] > 0)).sum())
    if diverged:
        text += f" {_capital(count(diverged, 'setting'))} diverged (dotted)."
    if left_out:
        text += f" Left out: {count(left_out, 'setting')} without a completed run."
    return text


def _in_common(best: Sequence[Any], tried: Sequence[Any]) -> str:
    """What the best values have in common that not all tried ones have; nothing if nothing.

    >>> _in_common(["adam", "adam"], ["adam", "sgd"]), _in_common([1, 2], [1, 2])
    ('adam', '')
    >>> _in_common([0.01, 0.02, 0.03, 0.04], [0.001, 0.01, 0.02, 0.03, 0.04, 1.0])
    'from 0.01 to 0.04'
    """
    texts = {value_text(value) or "none": value for value in best}
    if len(texts) == len({value_text(value) for value in tried}):
        return ""
    numeric = all(isinstance(value, (int, float)) and value == value for value in tried)
    if numeric and len(texts) > 2:
        low, high = min(best), max(best)
        if (low, high) == (min(tried), max(tried)):
            return ""
        return f"from {value_text(low)} to {value_text(high)}"
    ordered = sorted(texts, key=lambda text: texts[text]) if numeric else sorted(texts)
    return " or ".join(ordered) if len(ordered) <= 4 else ""


def _over_seeds(settings: pandas.DataFrame) -> str:
    """What a point and its band are: over how many seeds, from the fewest to the most."""
    known = settings.loc[settings["n"] > 0, "n"]
    low, high = int(known.min()), int(known.max())
    if high == 1:
        return "one run each (n = 1), so without a band"
    n = f"n = {low}" if low == high else f"n = {low} to {high}"
    return f"mean over seeds ({n}) with a band of one standard deviation of the runs"


def _value(sweep: Sweep, value: float) -> str:
    return measures.metric_text(sweep.metric, float(value))


def _range(sweep: Sweep, low: float, high: float) -> str:
    least, most = measures.bounds(sweep.metric)
    low, high = max(low, least), min(high, most)
    low_text = measures.metric_text(sweep.metric, float(low), unit=False)
    return f"{low_text} to {_value(sweep, high)}"


def _close(sweep: Sweep, means: pandas.Series[float], best: float) -> pandas.Series[bool]:
    """Which means are close to the best: within a point of accuracy or R², or a tenth."""
    near = 0.01 if _in_points(sweep) else 0.1 * abs(best)
    return (means - best).abs() <= near + 1e-12


def _closeness(sweep: Sweep) -> str:
    if sweep.metric.startswith("accuracy"):
        return "within 1 point"
    return "within 0.01" if _in_points(sweep) else "within 10 %"


def _in_points(sweep: Sweep) -> bool:
    return sweep.metric.startswith(("accuracy", "r2"))


def duration(seconds: float) -> str:
    """A duration, short.

    >>> duration(0.1234), duration(75.0), duration(7260.0)
    ('0.12 s', '75 s', '2.0 h')
    """
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def count(number: int, noun: str, none: str = "0") -> str:
    """A number with its noun.

    >>> count(1, "run"), count(3, "run"), count(0, "other setting", "no")
    ('1 run', '3 runs', 'no other setting')
    """
    if number == 0 and none != "0":
        return f"{none} {noun}"
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
