"""Starting from weights: what is taken and said, what is frozen and stays, what is refused."""

from __future__ import annotations

import errno
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlrun.checkpoint import save_checkpoint
from dlrun.errors import UserError
from dlrun.models.cnn import CNN
from dlrun.models.mlp import MLP
from dlrun.transfer import freeze, load_weights, setting_faults, training_mode


def small_mlp(out_features: int, **options: Any) -> MLP:
    return MLP((4,), out_features, hidden=[8, 8], **options)


def step(model: nn.Module, out_features: int, *, learning_rate: float = 0.5) -> None:
    """One update by gradient descent on twenty random samples, in training mode."""
    inputs, targets = torch.randn(20, 4), torch.arange(20) % out_features
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], learning_rate)
    training_mode(model)
    nn.functional.cross_entropy(model(inputs), targets).backward()
    optimizer.step()


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    """Names of parameters and buffers that are not what they were."""
    return {name for name, now in model.state_dict().items() if not torch.equal(now, before[name])}


def run_directory(model: nn.Module, name: str = "run") -> Path:
    """A run directory with the model's weights as its best ones, and other ones as its last."""
    folder = Path(name) / "checkpoints"
    folder.mkdir(parents=True)
    others = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    save_checkpoint(folder / "best.pt", {"model": model.state_dict(), "epoch": 3})
    save_checkpoint(folder / "last.pt", {"model": others, "epoch": 5})
    return Path(name)


def message(call: Callable[..., Any], *arguments: Any) -> str:
    """What the UserError of a call says."""
    with pytest.raises(UserError) as raised:
        call(*arguments)
    return str(raised.value)


# --- what is taken ---


def test_a_head_of_another_size_is_made_anew_and_said_so() -> None:
    digits = small_mlp(10)
    for _ in range(3):
        step(digits, 10)
    source = run_directory(digits)
    letters = small_mlp(26)
    before = copied(letters)

    assert load_weights(letters, source) == [
        "model.init_from=run: 4 of 6 tensors taken",
        "made anew, for they have another shape there: "
        "layers.output.weight (26, 8) here, (10, 8) there; "
        "layers.output.bias (26,) here, (10,) there",
    ]
    body = {f"layers.hidden_{k}.{part}" for k in (1, 2) for part in ("weight", "bias")}
    assert changed(letters, before) == body
    assert all(torch.equal(letters.state_dict()[name], digits.state_dict()[name]) for name in body)


def test_the_same_architecture_is_taken_whole() -> None:
    one, other = (CNN((1, 8, 8), 3, channels=[4], dense=[5], batch_norm=True) for _ in range(2))
    one(torch.randn(6, 1, 8, 8))  # running statistics of their own
    assert load_weights(other, run_directory(one)) == [
        "model.init_from=run: 14 of 14 tensors taken"
    ]
    assert changed(other, one.state_dict()) == set()
    assert other.blocks.batch_norm_1.num_batches_tracked == 1
    assert one.blocks.conv_1.weight.data_ptr() != other.blocks.conv_1.weight.data_ptr()


def test_every_name_that_only_one_side_has_is_listed() -> None:
    torch.save(small_mlp(3, batch_norm=True).state_dict(), "norms.pt")
    torch.save(small_mlp(3).state_dict(), "plain.pt")
    norm = "{weight, bias, running_mean, running_var, num_batches_tracked}"
    assert load_weights(small_mlp(3, batch_norm=True), Path("plain.pt")) == [
        "model.init_from=plain.pt: 4 of 14 tensors taken",
        f"made anew, for they are not in plain.pt: layers.batch_norm_1.{norm}, "
        f"layers.batch_norm_2.{norm}",
        "left out of plain.pt, for this model has no such: "
        "layers.hidden_1.bias, layers.hidden_2.bias",
    ]
    assert load_weights(small_mlp(3), Path("norms.pt")) == [
        "model.init_from=norms.pt: 4 of 6 tensors taken",
        "made anew, for they are not in norms.pt: layers.hidden_1.bias, layers.hidden_2.bias",
        f"left out of norms.pt, for this model has no such: layers.batch_norm_1.{norm}, "
        f"layers.batch_norm_2.{norm}",
    ]


STATE = {"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.tensor([3.0])}
FORMS: dict[str, Any] = {
    "state dict": STATE,
    "under state_dict": {"state_dict": STATE, "epoch": 3},
    "under model": {"model": STATE, "optimizer": {"lr": 0.1}, "random": torch.ones(3)},
    "parameters": {name: nn.Parameter(value) for name, value in STATE.items()},
    "with other things": STATE | {"_extra_state": {"n": 1}, 5: torch.ones(3)},
    "float64": {name: value.double() for name, value in STATE.items()},
    "float16": {name: value.half() for name, value in STATE.items()},
    "int64": {name: value.long() for name, value in STATE.items()},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("archive", [True, False], ids=["zip", "before 1.6"])
def test_forms_of_files(form: Any, archive: bool) -> None:
    torch.save(form, "w.pt", _use_new_zipfile_serialization=archive)
    model = nn.Linear(2, 1)
    assert load_weights(model, Path("w.pt")) == ["model.init_from=w.pt: 2 of 2 tensors taken"]
    assert model.weight.tolist() == [[1.0, 2.0]]
    assert model.bias.tolist() == [3.0]
    assert model.weight.dtype is torch.float32
    assert model.weight.requires_grad


def test_a_checkpoint_may_be_named_itself() -> None:
    digits = small_mlp(10)
    model = small_mlp(10)
    path = run_directory(digits) / "checkpoints" / "best.pt"
    assert load_weights(model, path) == [f"model.init_from={path}: 6 of 6 tensors taken"]
    assert changed(model, digits.state_dict()) == set()


def test_the_home_directory_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    torch.save(STATE, "home/w.pt")
    assert load_weights(nn.Linear(2, 1), Path("~/w.pt"))[0].endswith("2 of 2 tensors taken")


def test_layout_and_random_state_stay() -> None:
    """Convolutions keep the memory format they are fast in; no random number is drawn."""
    model = CNN((1, 8, 8), 3, channels=[4, 4], dense=[5])
    torch.save({k: v.contiguous() for k, v in model.state_dict().items()}, "w.pt")
    random_state = torch.get_rng_state()
    load_weights(model, Path("w.pt"))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert model.blocks.conv_2.weight.is_contiguous(memory_format=torch.channels_last)


def test_what_is_of_another_kind_is_not_taken() -> None:
    """Complex numbers would lose a part; sparse ones cannot be copied."""
    model = nn.Linear(2, 1)
    for weight, said in (
        (
            STATE["weight"].to(torch.complex64),
            "made anew, for they have another shape there: weight (1, 2) here, "
            "(1, 2) complex there",
        ),
        (
            STATE["weight"].T,
            "made anew, for they have another shape there: weight (1, 2) here, (2, 1) there",
        ),
        (STATE["weight"].to_sparse(), "made anew, for they are not in w.pt: weight"),
        (torch.empty(1, 2, device="meta"), "made anew, for they are not in w.pt: weight"),
    ):
        torch.save(STATE | {"weight": weight}, "w.pt")
        before = copied(model)
        assert load_weights(model, Path("w.pt"))[1:] == [said]
        assert changed(model, before) <= {"bias"}


@pytest.mark.skipif(not hasattr(torch, "quantize_per_tensor"), reason="torch has no such tensors")
@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning")
def test_quantized_tensors_are_not_taken() -> None:
    weight = torch.quantize_per_tensor(STATE["weight"], 0.5, 0, torch.qint8)
    torch.save(STATE | {"weight": weight}, "w.pt")
    assert load_weights(nn.Linear(2, 1), Path("w.pt")) == [
        "model.init_from=w.pt: 1 of 2 tensors taken",
        "made anew, for they are not in w.pt: weight",
    ]


# --- what is frozen ---


class Body(nn.Module):
    """A body with batch normalisation and a head, as one would tune."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.features_2 = nn.Linear(8, 8)
        self.head = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 3))
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.features_2(self.features(inputs))) * self.scale
        return outputs


def frozen(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


PARTS = ("weight", "bias")
FEATURES = {f"features.{k}.{part}" for k in (0, 1) for part in PARTS}
SECOND = {"features_2.weight", "features_2.bias"}
BIASES = {f"{name}.bias" for name in ("features.0", "features.1", "features_2", "head.0", "head.1")}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], set()),
        (["features"], FEATURES),  # a module, and not what merely begins with its name
        (["features.*"], FEATURES),
        (["features*"], FEATURES | SECOND),
        (["features.0", "scale"], {"features.0.weight", "features.0.bias", "scale"}),
        (["features.[01].weight"], {"features.0.weight", "features.1.weight"}),
        (["features.?.weight"], {"features.0.weight", "features.1.weight"}),
        (["*bias"], BIASES),
        (["features.?"], FEATURES),  # a pattern may be one of modules
        (["*.0"], {f"{name}.{part}" for name in ("features.0", "head.0") for part in PARTS}),
        (["scale", "scal?"], {"scale"}),
    ],
    ids=lambda value: str(sorted(value)),
)
def test_patterns(patterns: list[str], expected: set[str]) -> None:
    model = Body()
    freeze(model, patterns)
    assert frozen(model) == expected


def test_only_what_is_not_frozen_learns() -> None:
    model = Body()
    freeze(model, ["features", "features_2.weight"])
    before = copied(model)
    step(model, 3)
    assert changed(model, before) == {
        "features_2.bias",
        *(f"head.0.{name}" for name in ("weight", "running_mean", "running_var")),
        *("head.0.num_batches_tracked", "head.0.bias", "head.1.weight", "head.1.bias", "scale"),
    }


def test_frozen_batch_norm_keeps_its_statistics() -> None:
    model = Body()
    freeze(model, ["features.1"])
    model.eval()
    training_mode(model)
    modes = {name: module.training for name, module in model.named_modules()}
    assert modes.pop("features.1") is False
    assert all(modes.values())
    before = copied(model)
    for _ in range(3):
        step(model, 3)
    assert not {name for name in changed(model, before) if name.startswith("features.1.")}
    assert model.head[0].num_batches_tracked == 3


def test_batch_norm_in_part_frozen_or_without_parameters_goes_on_learning() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 3))
    freeze(model, ["0.bias"])
    training_mode(model)
    assert all(module.training for module in model.modules())


def test_tied_parameters_are_frozen_by_either_name() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    freeze(model, ["1.weight"])
    assert frozen(model) == {"0.weight"}


def test_a_body_of_another_run_is_frozen_and_the_new_head_learns() -> None:
    digits = small_mlp(10)
    source = run_directory(digits)
    letters = small_mlp(26)
    load_weights(letters, source)
    freeze(letters, ["layers.hidden_*"])
    before = copied(letters)
    step(letters, 26)
    assert changed(letters, before) == {"layers.output.weight", "layers.output.bias"}
    body = [name for name in before if "hidden" in name]
    assert all(torch.equal(letters.state_dict()[k], digits.state_dict()[k]) for k in body)


# --- what is refused ---


def test_nothing_that_fits() -> None:
    torch.save({"network.conv.weight": torch.ones(2, 3), "n": torch.ones(())}, "w.pt")
    assert message(load_weights, nn.Linear(2, 1), Path("w.pt")) == (
        "model.init_from=w.pt: none of its 2 tensors has name and shape of this model's; "
        "there it is network.conv.weight (2, 3), here weight (1, 2) "
        "(choose the model that it was trained with)"
    )
    torch.save({"a": torch.ones(2), "bias": torch.ones(7)}, "w.pt")
    assert "there it is bias (7,), here bias (1,)" in message(
        load_weights, nn.Linear(2, 1), Path("w.pt")
    )
    assert message(load_weights, nn.ReLU(), Path("w.pt")) == (
        "model.init_from=w.pt: none of its 2 tensors has name and shape of this model's, "
        "which has none"
    )
    torch.save({"\x1b[2J\nx": torch.ones(2)}, "w.pt")
    text = message(load_weights, nn.Linear(2, 1), Path("w.pt"))
    assert r"there it is \x1b[2J\nx (2,)" in text
    assert text.isprintable()


LIKE_THIS = 'expected a file as of torch.save(model.state_dict(), "weights.pt"))'


class Code:
    """Makes a file if it is unpickled in full."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("EXECUTED",)


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Code(), protocol=2))


def write_truncated(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-100])


def write_script(path: Path) -> None:
    """What torch.jit.save writes, as far as torch.load looks to tell it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "version"):
            archive.writestr(f"model/{name}", b"3\n")


NO_TENSORS = f"model.init_from=w.pt: there are no tensors in it ({LIKE_THIS}"
NO_FILE_OF_WEIGHTS = f"model.init_from=w.pt: is no file of weights, or a damaged one ({LIKE_THIS}"
REFUSED = (
    "model.init_from=w.pt: refused, it holds {}, and only tensors and plain values are read "
    f"({LIKE_THIS}"
)
POSIX_MKDIR = f"{os.mkdir.__module__ or os.name}.mkdir"
BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.touch(), NO_FILE_OF_WEIGHTS),
    "text": (lambda path: path.write_text("hello world\n"), NO_FILE_OF_WEIGHTS),
    "json": (lambda path: path.write_text(json.dumps({"weight": [1, 2]})), NO_FILE_OF_WEIGHTS),
    "gzip": (lambda path: path.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0"), NO_FILE_OF_WEIGHTS),
    "pickle": (
        lambda path: path.write_bytes(pickle.dumps({"weight": 1}, protocol=5)),
        NO_FILE_OF_WEIGHTS,
    ),
    "truncated": (write_truncated, NO_FILE_OF_WEIGHTS),
    "TorchScript": (write_script, NO_FILE_OF_WEIGHTS),
    "code": (write_pickle, REFUSED.format(POSIX_MKDIR)),
    "code in an archive": (
        lambda path: torch.save({"model": STATE, "x": Code()}, path),
        REFUSED.format(POSIX_MKDIR),
    ),
    "a whole model": (
        lambda path: torch.save(nn.Linear(2, 1), path),
        REFUSED.format("torch.nn.modules.linear.Linear"),
    ),
    "no tensors": (lambda path: torch.save({"epoch": 3, "model": {}}, path), NO_TENSORS),
    "a list": (lambda path: torch.save(list(STATE.values()), path), NO_TENSORS),
    "a tensor": (lambda path: torch.save(STATE["weight"], path), NO_TENSORS),
}


@pytest.mark.parametrize(("write", "expected"), BAD_FILES.values(), ids=BAD_FILES)
def test_files_that_are_refused(write: Callable[[Path], object], expected: str) -> None:
    write(Path("w.pt"))
    model = nn.Linear(2, 1)
    before = copied(model)
    assert message(load_weights, model, Path("w.pt")) == expected
    assert changed(model, before) == set()
    assert not Path("EXECUTED").exists()


def test_a_damaged_checkpoint_is_refused() -> None:
    source = run_directory(small_mlp(3))
    best = source / "checkpoints" / "best.pt"
    content = bytearray(best.read_bytes())
    content[len(content) // 2] ^= 1
    best.write_bytes(content)
    for named in (source, best):
        text = message(load_weights, small_mlp(3), named)
        assert text.startswith(f"model.init_from={best}: damaged")
        assert "\n" not in text


def test_a_run_directory_needs_the_checksum_that_other_files_may_lack() -> None:
    best = run_directory(small_mlp(3)) / "checkpoints" / "best.pt"
    torch.save({"model": small_mlp(3).state_dict()}, best)
    assert message(load_weights, small_mlp(3), Path("run")).startswith(
        f"model.init_from={best}: cut short, or no checkpoint of dlrun"
    )
    assert load_weights(small_mlp(3), best)[0].endswith("6 of 6 tensors taken")


def test_paths_that_lead_nowhere() -> None:
    Path("outputs/run").mkdir(parents=True)
    model = nn.Linear(2, 1)
    expected = "(expected a run directory or a file of weights)"
    for path, text in {
        "outputs/runn": f"no such file or directory; did you mean run? {expected}",
        "nowhere/x.pt": f"no such file or directory {expected}",
        "outputs": "is no run directory, there is no checkpoints/best.pt in it "
        "(name the directory of one run, or a file of weights)",
        "x" * 5000: f"no such file or directory {expected}",
        "x\0y/z": f"no such file or directory {expected}",
        "~nobody-of-that-name/x": f"no such file or directory {expected}",
    }.items():
        assert message(load_weights, model, Path(path)) == f"model.init_from={path}: {text}"


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_arguments: Any) -> None:  # root, who runs some tests, may read all files
        raise PermissionError(errno.EACCES, "Permission denied")

    torch.save(STATE, "w.pt")
    monkeypatch.setattr(Path, "open", denied)
    assert message(load_weights, nn.Linear(2, 1), Path("w.pt")) == (
        "model.init_from=w.pt: cannot be read: Permission denied"
    )


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["feature.0"], "model.freeze=[feature.0]: no parameter matches; did you mean features.0?"),
        (["scal"], "model.freeze=[scal]: no parameter matches; did you mean scale?"),
        (
            ["encoder.*", ""],
            "model.freeze=[encoder.*]: no parameter matches; this model has features, features.0, "
            "features.1, features_2, head, head.0, head.1\n"
            "model.freeze=['']: no parameter matches; this model has features, features.0, "
            "features.1, features_2, head, head.0, head.1",
        ),
        (["*"], "model.freeze=[*]: nothing is left to train (leave out head.1, the last layer)"),
        (
            ["features*", "head", "scale"],
            "model.freeze=[features*,head,scale]: nothing is left to train "
            "(leave out head.1, the last layer)",
        ),
    ],
    ids=str,
)
def test_patterns_that_are_refused(patterns: list[str], expected: str) -> None:
    model = Body()
    assert message(freeze, model, patterns) == expected
    assert frozen(model) == set()


def test_what_a_model_froze_itself_is_not_left_to_train() -> None:
    model = Body()
    model.head.requires_grad_(False)
    assert message(freeze, model, ["features*", "scale"]) == (
        "model.freeze=[features*,scale]: nothing is left to train "
        "(leave out head.1, the last layer)"
    )


def test_few_of_many_modules_are_listed() -> None:
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(12)))
    assert message(freeze, model, ["body"]) == (
        "model.freeze=[body]: no parameter matches; "
        "this model has 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    )


@pytest.mark.parametrize("pattern", ["weight", "wrong"])
def test_a_model_of_one_layer(pattern: str) -> None:
    model = nn.Linear(2, 1)
    if pattern == "weight":
        freeze(model, [pattern])
        assert frozen(model) == {"weight"}
    else:
        assert message(freeze, model, [pattern]) == (
            "model.freeze=[wrong]: no parameter matches; this model has weight, bias"
        )


def test_settings_are_checked_before_any_work() -> None:
    torch.save(STATE, "w.pt")
    assert setting_faults(None, []) == setting_faults(None, None) == []
    assert setting_faults("w.pt", ["layers.*", "head"]) == []
    assert setting_faults("v.pt", "layers.*") == [
        "model.init_from=v.pt: no such file or directory; did you mean w.pt? "
        "(expected a run directory or a file of weights)",
        "model.freeze=layers.*: expected a list of names or patterns "
        "(for example model.freeze=[layers.*])",
    ]
    assert setting_faults(3, [3]) == [
        "model.init_from=3: expected a run directory or a file of weights "
        "(for example model.init_from=./3)",
        "model.freeze=[3]: expected a list of names or patterns "
        "(for example model.freeze=[layers.*])",
    ]
