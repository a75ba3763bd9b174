"""The page: what it says, that names cannot act in it, that it needs nothing else."""

from __future__ import annotations

import base64
import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_sweep import final_accuracy, grid, made_up, values_of, write_run, write_sweep

from dlrun.errors import UserError
from dlrun.report.html import Shown, render
from dlrun.report.read import Sweep
from dlrun.report.statistics import performance_speed_tuneability, settings, winner
from dlrun.report.write import write_report

EVIL = "</td><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }} \" ' & 漢 \x1b[2J"
NOW = datetime(2030, 1, 2, 3, 4)


class Page(HTMLParser):
    """The elements of a page, and the rows of its tables by the id of their section."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.orders: dict[str, list[list[str | None]]] = {}
        self.section, self.in_cell = "", False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "section":
            self.section = dict(attrs)["id"] or ""
        if tag == "tr":
            self.rows.setdefault(self.section, []).append([])
            self.orders.setdefault(self.section, []).append([])
        if tag in ("td", "th"):
            self.in_cell = True
            self.rows[self.section][-1].append("")
            self.orders[self.section][-1].append(dict(attrs).get("data-order"))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.in_cell:
            self.rows[self.section][-1][-1] += data

    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


def page_of(
    sweep: Sweep, pictures: Sequence[Shown] = (), missing: Mapping[str, str] | None = None
) -> str:
    judged = performance_speed_tuneability(sweep)
    return render(sweep, settings(sweep), winner(sweep), judged, pictures, missing or {}, NOW)


def small(folder: Path, **options: Any) -> Sweep:
    jobs = values_of(optimizer=["adam", "momentum"], optimizer__lr=[0.1, 0.001], seed=[0, 1])
    return made_up(folder / "small", jobs, **options)


def test_the_winner_its_sweep_and_its_settings_stand_on_the_page(tmp_path: Path):
    sweep = small(tmp_path)
    page = Page(page_of(sweep))
    table = settings(sweep)
    assert winner(sweep).sentence in page.said()
    assert "made_up Settings are chosen by accuracy/val, higher is better." in page.said()
    assert "8 runs: 8 completed." in page.said()
    assert "optimizer adam, momentum lr 0.001, 0.1 seeds 0, 1 settings 4" in page.said()
    assert "Made by dlrun" in page.said() and "on 2030-01-02 03:04" in page.said()
    head, *rows = page.rows["table"]
    assert head == ["rank", "optimizer", "lr", "accuracy/val", "accuracy/test", "n", "seconds"]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert [row[1] for row in rows] == list(table["optimizer"])
    assert [float(row[3].split(" ± ")[0]) for row in rows] == pytest.approx(
        list(table["mean"]), abs=0.005
    )
    marked = [attributes.get("class") for tag, attributes in page.elements if tag == "tr"]
    assert marked[:3] == [None, "best", None]
    # Rows are sorted by numbers in full, not by the text that is shown.
    orders = [row[3] for row in page.orders["table"][1:]]
    assert [float(order or "nan") for order in orders] == list(table["mean"])
    assert len(page.rows["runs"]) == 1 + 8


def test_a_picture_stands_with_its_caption_and_its_numbers(tmp_path: Path):
    picture = Shown("optimizers", "Judged", "What one sees.", b"\x89PNG", 640)
    sweep = small(tmp_path)
    page = Page(page_of(sweep, [picture]))
    (image,) = [attributes for tag, attributes in page.elements if tag == "img"]
    assert image["src"] == "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    assert (image["width"], image["alt"]) == ("640", "Judged")
    assert "What one sees." in page.said()
    judged = performance_speed_tuneability(sweep)
    assert [row[0] for row in page.rows["optimizers"][1:]] == list(judged["optimizer"])


def test_names_out_of_files_only_show(tmp_path: Path):
    jobs = [{"optimizer": name, EVIL: EVIL, "seed": 0} for name in (EVIL, "adam")]
    folder = write_sweep(tmp_path / "s", jobs, statuses={1: "failed"}, name=EVIL)
    summary = folder / "0001-job" / "summary.json"
    stored = json.loads(summary.read_text())
    summary.write_text(json.dumps({**stored, "error": EVIL}))
    (folder / "0002-x").mkdir()
    (folder / "0002-x" / "summary.json").write_text(EVIL)
    report = write_report([folder], folder)
    html = report.page.read_text(encoding="utf-8")
    page = Page(html)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1
    assert tags.count("img") == len(report.figures)
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert "\x1b" not in html and "49" not in html.partition("<main>")[0].partition("<body>")[2]
    assert page.rows["incomplete"][1][1:3] == ["failed", EVIL.replace("\x1b", "\\x1b")]
    assert page.said().count("{{ 7*7 }}") > 5


def test_the_page_needs_no_other_file_and_no_network(tmp_path: Path):
    folder = write_sweep(tmp_path / "s", values_of(optimizer__lr=[0.1, 0.01], seed=[0, 1]))
    report = write_report([folder], tmp_path / "out")
    html = report.page.read_text(encoding="utf-8")
    targets = [
        value
        for _, attributes in Page(html).elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action", "poster")
    ]
    assert len(targets) > len(report.figures) > 0
    assert all(str(target).startswith(("#", "data:image/png;base64,")) for target in targets)
    assert not re.search(r"@import|url\(|https?://", html)
    policy = next(a for t, a in Page(html).elements if t == "meta" and "http-equiv" in a)
    assert str(policy["content"]).startswith("default-src 'none'; img-src data:;")
    anchors = {attributes.get("id") for _, attributes in Page(html).elements}
    links = {str(target)[1:] for target in targets if str(target).startswith("#")}
    assert links and links <= anchors


def test_what_did_not_complete_is_listed_with_its_reason(tmp_path: Path):
    statuses = {0: "failed", 1: "pending", 2: "interrupted", 3: "diverged", 4: "running"}
    sweep = small(tmp_path, statuses=statuses)
    page = Page(page_of(sweep))
    listed = {row[0]: row[1:3] for row in page.rows["incomplete"][1:]}
    assert list(listed) == ["0", "2", "3", "1", "4"]  # failures first
    assert listed["0"] == ["failed", "ValueError: no such thing"]
    assert listed["1"] == ["not started", "–"]
    assert listed["2"] == ["interrupted", "stopped by a signal"]
    assert listed["3"] == ["diverged", "divergence"]
    assert "3 of 8 runs have not come to an end" in page.said()
    assert "1 run failed; see below for the reason." in page.said()
    assert "3 completed, 1 still running, 1 not started, 1 interrupted, 1 diverged, 1 failed" in (
        page.said()
    )


def test_a_whole_sweep_has_no_warning(tmp_path: Path):
    page = page_of(small(tmp_path))
    assert 'class="warning"' not in page and 'id="incomplete"' not in page


def test_damaged_files_are_told(tmp_path: Path):
    folder = write_sweep(tmp_path / "s", values_of(optimizer__lr=[0.1, 0.01], seed=[0, 1]))
    (folder / "0000-job" / "summary.json").write_text("{")
    (folder / "0001-job" / "metrics.jsonl").write_text("nonsense\n")
    report = write_report([folder], folder)
    page = Page(report.page.read_text(encoding="utf-8"))
    assert len(report.sweep.damaged) == 2
    for line in report.sweep.damaged:
        assert line in page.said()
    assert page.rows["incomplete"][1][1] == "unreadable"


def test_before_the_first_run_is_over_there_is_a_page(tmp_path: Path):
    folder = write_sweep(tmp_path / "s", grid(), statuses=dict.fromkeys(range(90), "pending"))
    report = write_report([folder], folder)
    page = Page(report.page.read_text(encoding="utf-8"))
    assert report.figures == []
    assert "90 of 90 runs have not come to an end" in page.said()
    assert "table" not in page.rows


def test_many_swept_keys_are_one_column(tmp_path: Path):
    keys = {f"k{number}": number for number in range(12)}
    jobs = [
        {**keys, "k0": other, "seed": 0} | {k: v + other for k, v in keys.items()}
        for other in (0, 1)
    ]
    page = Page(page_of(made_up(tmp_path / "s", jobs)))
    assert page.rows["table"][0][:3] == ["rank", "setting", "accuracy/val"]
    assert page.rows["table"][1][1].startswith("k0=")


def test_five_hundred_runs_make_a_light_page(tmp_path: Path):
    jobs = values_of(
        optimizer=["adam", "momentum"],
        optimizer__lr=[10.0**-k for k in range(1, 11)],
        batch_size=[16, 32, 64, 128, 256],
        seed=range(5),
    )
    assert len(jobs) == 500
    sweep = made_up(tmp_path / "s", jobs, epochs=2)
    assert len(page_of(sweep).encode()) < 500_000


def test_report_writes_its_files_and_replaces_them(tmp_path: Path):
    folder = write_sweep(tmp_path / "s", values_of(optimizer__lr=[0.1, 0.01], seed=[0, 1]))
    (folder / "report.html").write_text("old")
    report = write_report([folder], folder)
    assert report.page == folder / "report.html" and report.results == folder / "results.csv"
    assert sorted(report.figures) == sorted((folder / "figures").iterdir())
    assert [path.name for path in report.figures] == [
        "ranking.png",
        "best_curves.png",
        "lr_sensitivity.png",
        "importance.png",
    ]
    html = report.page.read_text(encoding="utf-8")
    for path in report.figures:
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert base64.b64encode(content).decode() in html
    assert len(report.results.read_text().splitlines()) == 1 + 4
    assert not [path.name for path in folder.rglob(".*")]  # nothing half written is left


def test_importing_the_report_loads_nothing_heavy():
    code = "import sys, dlrun.report.write; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    heavy = ["torch", "pandas", "matplotlib", "sklearn", "scipy", "jinja2"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_several_folders_make_one_report(tmp_path: Path):
    jobs, more = (values_of(optimizer__lr=lrs, seed=[0]) for lrs in ([0.1, 0.01], [0.5, 1.0]))
    first = write_sweep(tmp_path / "a", jobs, name="first")
    second = write_sweep(tmp_path / "b", more, name="second")
    report = write_report([first, second], tmp_path / "both")
    page = Page(report.page.read_text(encoding="utf-8"))
    assert page.said().startswith("first + second: sweep report")
    assert len(page.rows["runs"]) == 1 + 4


def test_a_folder_without_runs_is_an_error_and_leaves_nothing(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds neither"):
        write_report([tmp_path / "empty"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_without_a_plan_are_reported(tmp_path: Path):
    for number, lr in enumerate((0.1, 0.01)):
        write_run(tmp_path / "runs" / f"r{number}", {"optimizer.lr": lr, "seed": 0}, "completed")
    report = write_report([tmp_path / "runs"], tmp_path / "out")
    page = Page(report.page.read_text(encoding="utf-8"))
    best = max((0.1, 0.01), key=lambda lr: final_accuracy({"optimizer.lr": lr, "seed": 0}))
    assert page.rows["table"][0][1] == "lr"
    assert math.isclose(float(page.rows["table"][1][1]), best)
