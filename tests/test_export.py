"""`dlrun export`: files that their own runtimes load, and that give what the model gives."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import dlrun
from dlrun.cli import command_line
from dlrun.errors import UserError
from dlrun.export import command, formats, torch_export_file, write
from dlrun.export.card import model_card
from dlrun.export.compare import LARGEST_DIFFERENCE, data_at_hand, samples_of
from dlrun.export.deployed import Deployed
from dlrun.export.safetensors_file import load
from dlrun.export.write import Exported, write_export
from dlrun.judge.data import run_data
from dlrun.predict.model import predict_inputs
from dlrun.trained import open_trained

onnx = pytest.importorskip("onnx", reason="pip install 'dlrun[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'dlrun[export]'")

QUIET = ("quiet=true", "figures=false", "device=cpu", "epochs=1")
CNN = ("dataset=digits", "model=cnn", "model.channels=[4]", "model.dense=[8]")
RUNS = {
    "cnn": (*CNN, "regularization=[batch_norm,dropout]", "dataset.limit=300"),
    "boston": ("dataset=boston", "dataset.features=[LSTAT,RM]", "dataset.transform=log"),
    "binary": ("dataset=moons", "model.hidden=[4]", "device.precision=bf16"),
    "codes": ("dataset=digits", "model=pca", "model.latent_dim=4", "dataset.limit=200"),
}
NAMES = ("onnx", "torch_export", "safetensors")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run directory of each kind, trained once."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = {}
        for name, words in RUNS.items():
            made = dlrun.run(*words, *QUIET).run_dir
            found[name] = Path(shutil.copytree(made, folder / name))
    return found


@pytest.fixture(scope="module")
def exports(
    runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Exported]:
    """`exports(run, format)`: that run in that format, made once."""
    made: dict[tuple[str, str], Exported] = {}
    folder = tmp_path_factory.mktemp("exports")

    def export(run: str, name: str) -> Exported:
        if (run, name) not in made:
            out = folder / f"{run}{formats.FORMATS[name].ending}"
            made[run, name] = write_export(runs[run], name, out, trust="data", force=False)
        return made[run, name]

    return export


Export = Callable[[str, str], Exported]


def real_samples(exported: Exported) -> tuple[Tensor, Tensor]:
    """Inputs in their own unit, and what `dlrun predict` says of them."""
    inputs, _ = samples_of(run_data(exported.trained), exported.trained.data)
    fp32 = replace(exported.trained.compute, autocast_dtype=None, scaler=None)
    said = predict_inputs(replace(exported.trained, compute=fp32), inputs)
    for outputs in (said.probabilities, said.values, said.images):
        if outputs is not None:
            return inputs, outputs
    raise AssertionError("nothing was predicted")


def assert_near(outputs: Tensor, expected: Tensor) -> None:
    unit = max(1.0, float(expected.abs().max()))
    assert outputs.shape == expected.shape
    assert float((outputs - expected).abs().max()) <= LARGEST_DIFFERENCE * unit


@pytest.mark.parametrize("run", ["cnn", "boston", "binary"])
def test_onnxruntime_gives_what_predict_gives(exports: Export, run: str) -> None:
    exported = exports(run, "onnx")
    inputs, expected = real_samples(exported)
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())
    for size in (1, 7, len(inputs)):
        (outputs,) = session.run([exported.deployed.gives], {name: inputs[:size].numpy()})
        assert_near(torch.from_numpy(outputs), expected[:size])
    assert exported.compared.samples == f"{len(inputs)} test samples"


def test_an_onnx_file_says_what_it_is(exports: Export) -> None:
    exported = exports("cnn", "onnx")
    model = onnx.load(exported.path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["classes"]) == [str(digit) for digit in range(10)]
    assert json.loads(told["config"])["model"]["channels"] == [4]
    assert json.loads(told["metrics"])["accuracy/test"] > 0
    assert (told["run"], told["dlrun_version"]) == ("cnn", dlrun.__version__)
    (value,) = model.graph.input
    assert value.name == "images"
    sizes = value.type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in sizes] == ["N", 1, 8, 8]
    assert [value.name for value in model.graph.output] == ["probabilities"]


@pytest.mark.parametrize("name", NAMES)
def test_no_file_tells_where_it_was_made(exports: Export, runs: dict[str, Path], name: str) -> None:
    content = exports("cnn", name).path.read_bytes()
    package = Path(dlrun.__file__).parent
    for path in (runs["cnn"].parent, package, Path(torch.__file__).parent, Path.home()):
        assert str(path).encode() + b"/" not in content


@pytest.mark.parametrize("run", ["cnn", "boston"])
def test_torch_export_gives_what_predict_gives(exports: Export, run: str) -> None:
    exported = exports(run, "torch_export")
    inputs, expected = real_samples(exported)
    network = torch_export_file.load(exported.path)
    for size in (1, 7, len(inputs)):
        assert_near(network(inputs[:size]).detach(), expected[:size])
    told = torch_export_file.read_facts(exported.path)
    assert told["task"] == exported.trained.data.task
    if run == "boston":
        assert json.loads(told["columns"]) == ["LSTAT", "RM"]


@pytest.mark.parametrize("run", RUNS)
def test_safetensors_give_the_same_bits(exports: Export, run: str) -> None:
    exported = exports(run, "safetensors")
    assert set(exported.compared.differences.values()) == {0.0}
    inputs, expected = real_samples(exported)
    network = load(exported.path)
    assert_near(network(inputs), expected)
    weights = open_trained(exported.trained.run_dir, device="cpu").model.state_dict()
    for name, tensor in network.network.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=0)


def test_a_run_in_bf16_is_exported_in_float32(exports: Export) -> None:
    exported = exports("binary", "safetensors")
    assert exported.notes == ("trained in bf16; the file computes in float32",)
    assert "trained in bf16; the file computes in float32" in exported.card.read_text()
    assert {t.dtype for t in load(exported.path).state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    ("run", "name"),
    [*(("cnn", name) for name in NAMES), ("boston", "onnx"), ("codes", "safetensors")],
)
def test_the_cards_example_runs(
    exports: Export,
    run: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exported = exports(run, name)
    monkeypatch.chdir(exported.path.parent)
    card = exported.card.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    exec(compile(code, "card", "exec"), {})
    printed = capsys.readouterr().out
    start = {"cnn": r"\d .*0\.", "boston": "median price in 1,000 USD", "codes": r".*1, 1, 8, 8"}
    assert re.match(start[run], printed, re.DOTALL), printed


def test_a_card_tells_data_figures_and_limits(exports: Export) -> None:
    card = exports("boston", "onnx").card.read_text()
    trained = exports("boston", "onnx").trained
    for text in ("columns | 2: LSTAT, RM", "log x, then standardised", "share of Black residents"):
        assert text in card
    metrics = trained.summary["metrics"]
    assert f"| test | mse | {metrics['mse/test']:.6g} |" in card
    assert re.search(r"\| test \| mae \| [\d.]+ \| [\d.]+ to [\d.]+ \| 101 \|", card)
    assert "the logarithm of its inputs" in card
    classes = exports("cnn", "onnx").card.read_text()
    assert "10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in classes
    assert re.search(r"\| test \| accuracy \| [\d.]+ \| [\d.]+ to [\d.]+ \| \d+ \|", classes)
    assert "share of Black residents" not in classes
    assert "- Licence: not stated" in classes


def test_hostile_names_stay_inside_a_card(exports: Export, tmp_path: Path) -> None:
    exported = exports("binary", "safetensors")
    evil = "<script>|`x`\n# y"
    trained = replace(
        exported.trained,
        run_dir=tmp_path / evil.replace("/", ""),
        data=replace(exported.trained.data, classes=(evil, "b"), target_name=evil),
        choices={**exported.trained.choices, "model": evil, "dataset": evil},
        summary={"versions": {evil: evil}, "host": [evil], "git": {"commit": evil}, "device": evil},
    )
    path = tmp_path / f"{evil}.safetensors"
    card = model_card(trained, exported.deployed, "safetensors", path, exported.compared, [])
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code is not None and "<script>|`x`\\n# y.safetensors" in code[1]
    assert "<script" not in card.replace(code[0], "")
    assert re.findall(r"^#+ .*", card, re.MULTILINE)[0].startswith("# &#60;script&#62;&#124;")
    assert "\n# y" not in card


def test_without_its_data_a_run_is_compared_on_random_inputs(tmp_path: Path) -> None:
    lines = [f"{k % 7},{k % 3},{'no' if k % 7 > 3 else 'yes'}" for k in range(60)]
    table = tmp_path / "table.csv"
    table.write_text("a,b,label\n" + "\n".join(lines) + "\n")
    words = ("dataset=csv", f"dataset.path={table}", "dataset.target=label", "model.hidden=[4]")
    run_dir = dlrun.run(*words, *QUIET).run_dir
    table.unlink()
    exported = write_export(run_dir, "safetensors", None, trust="data", force=False)
    assert exported.compared.samples == "64 random rows"
    assert "compared on random inputs" in exported.notes[0]
    card = exported.card.read_text()
    assert "as training wrote them; Wilson interval from n" in card
    accuracy = exported.trained.summary["metrics"]["accuracy/test"]
    assert re.search(rf"\| test \| accuracy \| {accuracy:.6g} \| 0\.\d+ to [\d.]+ \| 12 \|", card)
    assert str(tmp_path) not in card


def test_nothing_is_downloaded_to_compare(exports: Export, tmp_path: Path) -> None:
    trained = exports("cnn", "safetensors").trained
    dataset = {**trained.settings.dataset, "_target_": "dlrun.datasets.images.mnist"}
    settings = replace(trained.settings, dataset=dataset, data_dir=str(tmp_path))
    found = data_at_hand(replace(trained, settings=settings), "data")
    assert found == (None, "mnist is not on this machine")
    assert not list(tmp_path.iterdir())


def export_of(words: str, runs: dict[str, Path]) -> int:
    """Exit code of `dlrun export WORDS` with a copy of the binary run called `run`."""
    if not Path("run").exists():
        shutil.copytree(runs["binary"], "run")
        Path("folder.onnx").mkdir()
    return command_line(["export", *words.split()])


def test_the_command_tells_what_it_wrote(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert export_of("run --format safetensors", runs) == 0
    printed = capsys.readouterr().out
    assert sorted(file.name for file in Path("run/export").iterdir()) == [
        *("run.safetensors", "run.safetensors.md")
    ]
    for text in ("gives  probabilities (N, 2)", "64 test samples", "run/export/run.safetensors.md"):
        assert text in printed
    assert re.search(r"^safetensors +\d+ KiB +\d+ +0 +0 +\d\.\de-\d\d$", printed, re.MULTILINE)
    loader = "dlrun.export.safetensors_file.load('run/export/run.safetensors')"
    assert loader in printed
    assert isinstance(load(Path("run/export/run.safetensors")), Deployed)


def test_nothing_is_written_over(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.safetensors.md").write_text("my own")
    words = "run --format safetensors -q -o net.safetensors"
    assert export_of(words, runs) == 2
    assert "net.safetensors.md: is there already (type --force" in capsys.readouterr().err
    assert Path("net.safetensors.md").read_text() == "my own"
    assert export_of(f"{words} --force", runs) == 0
    assert capsys.readouterr().out == ""
    assert Path("net.safetensors.md").read_text().startswith("# run")


BAD_WORDS = {
    "": "--format",
    "--format onnx": "RUN",
    "run": "--format",
    "run --format onyx": "invalid choice: 'onyx'",
    "absent --format onnx": "absent",
    "run --format onnx -o net.pt": "-o net.pt: expected a file that ends in .onnx",
    "run --format onnx -o folder.onnx": "-o folder.onnx: expected a file",
}


def test_the_parser_knows_all_formats() -> None:
    assert command.FORMATS == tuple(formats.FORMATS) == NAMES


@pytest.mark.parametrize("words", BAD_WORDS)
def test_bad_words_are_told_in_a_line(
    words: str, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert export_of(words, runs) == 2
    error = capsys.readouterr().err
    assert BAD_WORDS[words] in error and error.count("\n") == 1
    assert not Path("run/export").exists()


def test_a_wrong_file_is_not_left_behind(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = formats.FORMATS["safetensors"]

    def wrong(deployed: Deployed, *others: Any) -> None:
        bias = next(p for name, p in deployed.named_parameters() if name.endswith("output.bias"))
        before = bias.clone()
        bias.add_(0.01 * torch.arange(len(bias)) + 0.01)
        right.write(deployed, *others)
        bias.copy_(before)

    monkeypatch.setitem(write.FORMATS, "safetensors", replace(right, write=wrong))
    assert export_of("run --format safetensors", runs) == 1
    error = capsys.readouterr().err
    assert "not written: it does not give what the model gives: on 64 test samples" in error
    assert "expected at most 1e-05" in error
    assert not list(Path("run/export").iterdir())


def test_scaling_that_is_not_the_runs_is_found(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy = write.deploy

    def without_scaling(*args: Any) -> Deployed:
        deployed = deploy(*args)
        deployed.input_scaling = None
        return deployed

    monkeypatch.setattr(write, "deploy", without_scaling)
    assert export_of("run --format torch_export", runs) == 1  # the file is what it was made from
    assert "it does not give what the model gives" in capsys.readouterr().err
    assert not list(Path("run/export").iterdir())


def test_missing_packages_are_told(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name == "onnxscript" else found(name, *rest),
    )
    assert export_of("run --format onnx", runs) == 2
    error = capsys.readouterr().err
    assert error == "error: --format onnx: needs onnxscript (type pip install 'dlrun[export]')\n"


def test_a_test_function_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = dlrun.run("dataset=surface", "model=point", *QUIET).run_dir
    assert command_line(["export", str(run_dir), "--format", "onnx"]) == 2
    assert "there is no network that takes inputs" in capsys.readouterr().err


OWN = """
from torch import nn

class Branching(nn.Module):
    def __init__(self, in_shape, out_features):
        super().__init__()
        self.layer = nn.Linear(in_shape[0], out_features)

    def forward(self, x):
        outputs = self.layer(x)
        return outputs * 2 if float(outputs.detach().sum()) > 3 else outputs
"""


def test_what_torch_cannot_export_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/own.yaml").write_text("_target_: branching_net.Branching\n_partial_: true\n")
    Path("branching_net.py").write_text(OWN)
    monkeypatch.syspath_prepend(".")
    run_dir = dlrun.run("model=own", "dataset=moons", *QUIET).run_dir
    capfd.readouterr()
    words = ["export", str(run_dir), "--format", "torch_export"]
    assert command_line(words) == 2  # its code is not called unasked
    assert "--trust" in capfd.readouterr().err
    assert command_line([*words, "--trust"]) == 2
    printed, error = capfd.readouterr()
    assert error.startswith("error: --format torch_export: torch cannot export this network: ")
    assert (printed, error.count("\n")) == ("", 1)
    assert command_line(["export", str(run_dir), "--format", "safetensors", "--trust"]) == 0


def test_a_planted_safetensors_file_runs_nothing(exports: Export, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    source = exports("binary", "safetensors").path
    with safe_open(source, framework="pt") as file:
        told, tensors = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    planted = tmp_path / "planted.safetensors"
    config = json.loads(told["config"])

    def refused(fragment: str, **changed: Any) -> None:
        save_file(tensors, planted, metadata={**told, **changed})
        with pytest.raises(UserError, match=fragment) as caught:
            load(planted)
        assert str(caught.value).count("\n") == 0

    config["model"] = {"_target_": "os.system", "_partial_": True, "command": "touch planted"}
    refused("os.system: a stored config may only name", config=json.dumps(config))
    refused("planted.safetensors: is none that dlrun export wrote", config="[1]")
    refused("planted.safetensors: is none that dlrun export wrote", in_shape="[3]")
    planted.write_bytes(source.read_bytes()[:500])
    with pytest.raises(UserError, match="is no safetensors file, or damaged"):
        load(planted)
    assert not Path("planted").exists()
