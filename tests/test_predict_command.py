"""`dlrun predict`: what it prints and writes, of which files, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from predict_runs import Trained, trained

from dlrun.checkpoint import load_checkpoint, save_checkpoint
from dlrun.cli import command_line
from dlrun.datasets.images import mnist5k
from dlrun.datasets.tabular import boston
from dlrun.predict.model import predict_inputs
from dlrun.trained import open_trained

__all__ = ["trained"]

Captured = pytest.CaptureFixture[str]


def digit_files(folder: str, count: int) -> list[str]:
    """Images of MNIST digits, each with its class at the end of its name."""
    samples = mnist5k(Path(), 0)
    Path(folder).mkdir()
    names = []
    for k in range(count):
        at = 5000 // count * k
        name = f"{folder}/{k:03d}-{int(samples.targets[at])}.png"
        Image.fromarray(np.asarray(samples.inputs[at, 0])).save(name)
        names.append(name)
    return names


def houses(name: str, count: int) -> None:
    table = boston(Path(), 0, features=["LSTAT", "RM"]).inputs[:count].double().tolist()
    Path(name).write_text("\n".join(["LSTAT,RM", *(f"{a!r},{b!r}" for a, b in table)]))


def predicted(*words: object, expect: int = 0) -> None:
    assert command_line(["predict", *map(str, words)]) == expect


def test_files_of_digits_get_the_classes_that_the_model_gives(trained: Trained, capsys: Captured):
    """In files of CSV, with a probability a class, over more than one batch of files."""
    digit_files("digits", 300)
    predicted(trained("digits"), "digits")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    samples = mnist5k(Path(), 0)
    at = [5000 // 300 * k for k in range(300)]
    expected = predict_inputs(open_trained(trained("digits")), samples.inputs[at].float() / 255)
    assert [int(row["prediction"]) for row in rows] == expected.labels.tolist()
    assert [row["file"] for row in rows] == sorted(map(str, Path("digits").iterdir()))
    shares = [[float(row[f"p_{k}"]) for k in range(10)] for row in rows]
    assert np.allclose(shares, expected.probabilities.numpy(), rtol=1e-4, atol=1e-7)
    assert list(rows[0]) == ["file", "prediction", *(f"p_{k}" for k in range(10))]


def test_a_person_gets_aligned_columns(trained: Trained, capsys: Captured):
    names = digit_files("digits", 10)
    predicted(trained("digits"), *names, "--format", "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "class", "probability", "next"]
    row = r"digits/\d+-\d\.png  \d +\d+\.\d %    \d +\d+\.\d %    \d +\d+\.\d %"
    assert len(lines) == 11 and all(re.fullmatch(row, line) for line in lines[1:])
    assert len({len(line) for line in lines[1:]}) == 1 and len(lines[1]) <= 80
    shares = [float(share) for share in re.findall(r"(\d+\.\d) %", lines[1])]
    assert shares == sorted(shares, reverse=True)


def test_json_lines(trained: Trained, capsys: Captured):
    names = digit_files("digits", 2)
    predicted(trained("digits"), *names, "--format", "jsonl")
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["file"] == names[0]
    assert max(first["probabilities"], key=first["probabilities"].get) == first["prediction"]
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_rows_get_values_with_all_their_digits(trained: Trained, capsys: Captured):
    houses("houses.csv", 20)
    predicted(trained("log"), "houses.csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    inputs = boston(Path(), 0, features=["LSTAT", "RM"]).inputs[:20]
    expected = predict_inputs(open_trained(trained("log")), inputs).values[:, 0].tolist()
    assert [float(row["prediction"]) for row in rows] == expected
    assert [row["row"] for row in rows] == [str(k) for k in range(1, 21)]
    predicted(trained("log"), "houses.csv", "--format", "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(maxsplit=1) == ["row", "median price in 1,000 USD"]
    assert lines[1].split() == ["1", f"{expected[0]:.3f}"]


def test_several_tables_say_which(trained: Trained, capsys: Captured):
    houses("a.csv", 2)
    houses("b.csv", 1)
    predicted(trained("log"), "a.csv", "b.csv")
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(",")[0] for line in lines] == [
        "file,row",
        "a.csv,1",
        "a.csv,2",
        "b.csv,1",
    ]


def test_standard_input(trained: Trained, capsys: Captured, monkeypatch: pytest.MonkeyPatch):
    piped = io.TextIOWrapper(io.BytesIO(b"LSTAT,RM\n5,6\n7,8\n"))
    monkeypatch.setattr(sys, "stdin", piped)
    predicted(trained("log"), "-")
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_hinge_and_codes(trained: Trained, capsys: Captured):
    Path("points.csv").write_text("x1,x2\n0,1\n1,-0.5\n")
    predicted(trained("hinge"), "points.csv")
    assert capsys.readouterr().out.splitlines()[0] == "row,prediction"
    Image.new("L", (8, 8)).save("black.png")
    predicted(trained("codes"), "black.png")
    assert capsys.readouterr().out.splitlines()[0] == "file,mse,code_1,code_2"
    predicted(trained("codes"), "black.png", "--format", "jsonl")
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["file", "mse", "code"] and len(answer["code"]) == 2


def test_output_goes_to_a_file_by_its_ending(trained: Trained, capsys: Captured):
    houses("houses.csv", 3)
    predicted(trained("log"), "houses.csv", "-o", "prices.jsonl")
    lines = Path("prices.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [1, 2, 3]
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "3 predictions in prices.jsonl\n")
    predicted(trained("log"), "houses.csv", "-o", "-")
    assert capsys.readouterr().out.startswith("row,prediction\n1,")


def test_a_fault_leaves_nothing_half(trained: Trained, capsys: Captured):
    houses("houses.csv", 9)
    with Path("houses.csv").open("a") as file:
        file.write("\n5,six\n")
    Path("prices.csv").write_text("old")
    predicted(trained("log"), "houses.csv", "-o", "prices.csv", expect=2)
    fault = "error: houses.csv: row 10, column 'RM': 'six' is text; expected a number\n"
    assert capsys.readouterr().err == fault
    assert Path("prices.csv").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["houses.csv", "prices.csv"]


def test_unreadable_files_are_reported_and_the_rest_go_on(trained: Trained, capsys: Captured):
    (name,) = digit_files("digits", 1)
    Path("digits/000-a.png").write_text("no image")
    Path("empty").mkdir()
    words = ("absent.png", "digits", "empty", name, "-o", "out.csv")
    predicted(trained("digits"), *words, expect=2)
    told = capsys.readouterr().err.splitlines()
    assert sorted(told[:3]) == [
        "error: absent.png: cannot be read (No such file or directory)",
        "error: digits/000-a.png: is no image (expected PNG, JPEG, WebP, BMP, TIFF or GIF)",
        "error: empty: no images in this folder",
    ]
    assert told[3:] == [
        "2 predictions in out.csv",
        "error: 3 files were passed over; expected files that are there and can be read",
    ]
    assert len(Path("out.csv").read_text().splitlines()) == 3


def test_a_run_without_framing_says_what_it_does(trained: Trained, capsys: Captured):
    run_dir = Path(shutil.copytree(trained("digits"), "older"))
    best = run_dir / "checkpoints" / "best.pt"
    checkpoint = load_checkpoint(best)
    del checkpoint["data"]["framing"]
    save_checkpoint(best, checkpoint)
    (name,) = digit_files("digits", 1)
    predicted(run_dir, name)
    told = capsys.readouterr()
    assert told.err.startswith("note: the run has not kept how its images were framed")
    assert len(told.out.splitlines()) == 2


def test_a_table_that_is_not_there_is_passed_over(trained: Trained, capsys: Captured):
    houses("houses.csv", 2)
    predicted(trained("log"), "absent.csv", "houses.csv", expect=2)
    told = capsys.readouterr()
    assert told.err.splitlines()[0] == "error: absent.csv: no such file"
    assert len(told.out.splitlines()) == 3


def test_names_of_files_do_nothing_in_a_terminal(trained: Trained, capsys: Captured):
    (name,) = digit_files("digits", 1)
    strange = "a\x1b[2J\n[red].png"
    Path(name).rename(strange)
    predicted(trained("digits"), strange, "--format", "table")
    assert "a\\x1b[2J\\n[red].png" in capsys.readouterr().out
    Path(strange).write_text("")
    predicted(trained("digits"), strange, expect=2)
    assert "error: a\\x1b[2J\\n[red].png: is no image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("log",), "expected a run and files to predict"),
        (("log", "absent.csv"), "error: absent.csv: no such file\n"),
        (("log", "houses.csv", "--format", "xml"), "invalid choice: 'xml'"),
        (("log", "houses.csv", "-o", "x.foo"), "expected one of .csv, .jsonl"),
        (("log", "houses.csv", "-o", "no/x.csv"), "expected a file in a folder that is there"),
        (("log", "houses.csv", "-o", "houses.csv"), "is one of the files to predict"),
        (("log", "houses.csv", "--ignore", "RM"), "the run needs this column"),
        (("digits", "houses.csv"), "error: houses.csv: is no image"),
        (("surface", "houses.csv"), "has looked for the lowest point of a surface"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    trained: Trained, capsys: Captured, words: tuple[str, ...], fault: str
):
    houses("houses.csv", 2)
    predicted(trained(words[0]), *words[1:], expect=2)
    told = capsys.readouterr()
    assert fault in told.err and len(told.err.splitlines()) == 1
    assert told.out == ""
    assert [path.name for path in Path().iterdir()] == ["houses.csv"]


def test_help_states_the_rules(capsys: Captured):
    with pytest.raises(SystemExit):
        command_line(["predict", "--help"])
    told = capsys.readouterr().out
    assert "inverted" in told and "centre of\n  mass" in told and "--ignore" in told
