"""The model card beside an exported file: what it is, what it was trained on, how good it is.

Sections after Mitchell et al. 2019, Model Cards for Model Reporting, and Hugging Face's template.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dlrun.describe import config_tree, model_text
from dlrun.errors import printable
from dlrun.export.compare import LARGEST_DIFFERENCE, Compared
from dlrun.export.deployed import Deployed
from dlrun.export.facts import column_names, gives_text, takes, without_paths
from dlrun.export.formats import FORMATS
from dlrun.export.limits import limits
from dlrun.export.markdown import code_block, escaped, table
from dlrun.export.measured import Measured, split_sizes
from dlrun.export.usage import example
from dlrun.models.summary import summarize, total_parameters
from dlrun.provenance import installed_versions
from dlrun.trained import Trained

MOST_NAMES = 30  # classes or features that are listed
DIGITS = 6
TASKS = {
    "binary": "tells two classes apart",
    "multiclass": "tells classes apart",
    "regression": "predicts a number",
    "reconstruction": "gives its inputs back through a narrow code",
}
TO_FILL_IN = """\
- Licence: not stated; the data that the weights were trained on may have terms of its own.
- Intended use: not stated, and what it should not be used for.
- Contact: not stated."""


def model_card(
    trained: Trained,
    deployed: Deployed,
    format_name: str,
    path: Path,
    compared: Compared,
    figures: Sequence[Measured],
) -> str:
    """The card as Markdown; whatever the run's files name is escaped."""
    sections = {
        "Model": model_section(trained, deployed),
        "Use": use_section(trained, deployed, format_name, path),
        "Data": data_section(trained, figures),
        "Results": results_section(figures),
        "Training": training_section(trained),
        "The file": file_section(trained, format_name, compared),
        "Environment": environment_section(trained, FORMATS[format_name].packages),
        "Limits": "\n".join(f"- {line}" for line in limits(trained, deployed)),
        "To be filled in": TO_FILL_IN,
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"# {escaped(trained.name)}\n\n{body}\n"


def model_section(trained: Trained, deployed: Deployed) -> str:
    """The task, the architecture, its layers."""
    data = trained.data
    totals = total_parameters(trained.model)
    rows = {
        "task": f"{data.task}: {TASKS[data.task]}",
        "architecture": escaped(f"{trained.choices.get('model')} ({architecture(trained)})"),
        "parameters": f"{totals.parameters:,}",
        "weights": f"of epoch {trained.epoch}, the best one",
        "takes": escaped(takes(data)),
        "gives": escaped(gives_text(data, deployed.gives)),
        "made with": escaped(f"dlrun {installed_versions().get('dlrun', '')}".strip()),
        "exported": f"{datetime.now(timezone.utc):%Y-%m-%d}",
    }
    layers = model_text(summarize(trained.model, data.in_shape), totals)
    text = shown_block(layers)
    return table(("", ""), list(rows.items())) + "\n\n" + code_block(f"{text}\n", "text")


def architecture(trained: Trained) -> str:
    """The class of the network and the settings that shape it."""
    _, values = config_tree(trained.settings, trained.choices)["model"]
    target = str(trained.settings.model["_target_"]).rpartition(".")[2]
    return ", ".join([target, *(f"{key}={value}" for key, value in values.items())])


def use_section(trained: Trained, deployed: Deployed, format_name: str, path: Path) -> str:
    """The lines of Python that run the file."""
    lines = [
        "Scaling lies within the network: give it inputs as they are, any number at a time. "
        "In the folder of the file:",
        code_block(example(format_name, path.name, trained.data, deployed.gives), "python"),
    ]
    return "\n\n".join(lines)


def data_section(trained: Trained, figures: Sequence[Measured]) -> str:
    """The data set: its splits, classes or features, scaling, checksum."""
    data = trained.data
    sizes = split_sizes(data.fingerprint)
    rows = {"data set": escaped(trained.choices.get("dataset"))}
    if sizes:
        rows["samples"] = ", ".join(
            f"{sizes[split]:,} {name}"
            for split, name in (("train", "training"), ("val", "validation"), ("test", "test"))
        )
    if data.classes:
        rows["classes"] = f"{len(data.classes)}: {names(data.classes)}"
    if columns := column_names(data):
        rows["columns"] = f"{len(columns)}: {names(columns)}"
    if data.task == "regression":
        rows["target"] = escaped(data.target_name)
    rows["scaling"] = escaped(scaling_text(trained))
    if data.checksum is not None:
        rows["SHA-256 of the samples"] = escaped(data.checksum)
    return table(("", ""), list(rows.items()))


def scaling_text(trained: Trained) -> str:
    """What happens to inputs, and targets, before the network sees them, in words."""
    data, each = trained.data, "feature" if len(trained.data.in_shape) == 1 else "channel"
    steps = {"tenth": ["x / 10"], "log": ["log x"]}.get(data.transform, [])
    if data.fill is not None:
        steps.append("missing values filled with the training mean")
    if data.input_scaling is not None:
        steps.append(f"standardised by training mean and standard deviation, one each a {each}")
    text = ", then ".join(steps) or "none"
    return text + ("; targets standardised likewise" if data.target_scaling is not None else "")


def results_section(figures: Sequence[Measured]) -> str:
    """Metrics by split, with 95 % intervals."""
    if not figures:
        return "The run has no figures of validation or test data."
    rows = []
    for one in figures:
        split = {"val": "validation"}.get(one.split, one.split)
        count = "unknown" if one.num_samples is None else f"{one.num_samples:,}"
        for name, value in one.metrics.items():
            low_high = one.intervals.get(name)
            interval = "" if low_high is None else " to ".join(f"{end:.4g}" for end in low_high)
            shown = "–" if value is None else f"{value:.{DIGITS}g}"
            rows.append((split, escaped(name), shown, interval, count))
    how = "; ".join(dict.fromkeys(one.how for one in figures))
    chosen = ""
    if any(one.split == "val" for one in figures):
        chosen = (
            " The epoch was chosen by validation data, whose figures are therefore a little too "
            "good; test data chose nothing."
        )
    head = ("split", "metric", "value", "95 % interval", "n")
    return f"{table(head, rows)}\n\nFigures: {how}.{chosen}"


def training_section(trained: Trained) -> str:
    """What was chosen and set, group by group, where it is not off."""
    rows = [
        (group, escaped(choice), escaped(", ".join(f"{k}={v}" for k, v in values.items())))
        for group, (choice, values) in config_tree(trained.settings, trained.choices).items()
        for values in [without_paths(values)]
    ]
    return table(("group", "choice", "settings"), rows)


def file_section(trained: Trained, format_name: str, compared: Compared) -> str:
    """How it was compared with the model that was trained."""
    differences = compared.differences
    each = " and ".join(f"{value:.1e} in batches of {n}" for n, value in differences.items())
    unit = f" {compared.unit}" if compared.unit else ""
    lines = [
        f"Format {format_name}, float32. Loaded again and run on {compared.samples}, its outputs "
        f"differ from those of the network in torch by at most {each}, and from what "
        f"`dlrun predict` makes of the run by {compared.from_predict:.1e} (accepted: "
        f"{LARGEST_DIFFERENCE:.0e}{unit})."
    ]
    if (precision := trained.settings.device.precision) != "fp32":
        lines.append(f"The network was trained in {precision}; the file computes in float32.")
    return " ".join(lines)


def environment_section(trained: Trained, packages: Sequence[str]) -> str:
    """Versions and machine of the training, and of the export with the format's packages."""
    summary = trained.summary
    writers = {package: importlib.metadata.version(package) for package in packages}
    then, now = mapping(summary.get("versions")), {**installed_versions(), **writers}
    rows = [
        (escaped(name), escaped(then.get(name, "–")), escaped(now.get(name, "–")))
        for name in dict.fromkeys((*then, *now))
    ]
    host, git = mapping(summary.get("host")), mapping(summary.get("git"))
    machine = [str(host[key]) for key in ("system", "machine", "cpu") if host.get(key)]
    lines = [f"Trained on {escaped(', '.join([str(summary.get('device')), *machine]))}."]
    if git.get("commit"):
        dirty = " with changes that were not committed" if git.get("dirty") else ""
        lines.append(f"Repository at commit {escaped(git['commit'])}{dirty}.")
    return table(("", "training", "export"), rows) + "\n\n" + " ".join(lines)


def shown_block(text: str) -> str:
    """The lines of a text for a code block, which nothing in them can end."""
    return printable(text).replace("```", "'''")


def names(found: Sequence[str]) -> str:
    """The first names, escaped, and how many follow."""
    more = f", and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
    return ", ".join(escaped(name, width=60) for name in found[:MOST_NAMES]) + more


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, as dlrun writes it; a summary may hold anything."""
    return value if isinstance(value, dict) else {}
