"""Diagnostics: figures by hand, hooks that come and go, verdicts on networks known to be ill."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlrun.diagnostics import (
    FIGURES,
    Record,
    Watch,
    arrays,
    read_records,
    scalars,
    to_line,
    verdict,
)
from dlrun.errors import UserError
from dlrun.models.cnn import CNN
from dlrun.models.mlp import MLP


def descend(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    steps: int = 1,
    every_steps: int = 1,
    lr: float = 0.01,
    max_grad_norm: float | None = None,
) -> list[Record]:
    """The records of some full-batch steps of gradient descent."""
    watch, records = Watch(model, every_steps), []
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr)
    for step in range(1, steps + 1):
        watch.before_step(step)
        outputs = model(inputs)
        loss = nn.functional.cross_entropy(outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        if max_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        if (record := watch.after_step(step)) is not None:
            records.append(record)
    return records


def digits(n: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Standardised noise in the shape of digits, and classes for it."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 1, 28, 28, generator=generator)
    return inputs, torch.randint(10, (n,), generator=generator)


def num_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_norms_by_hand():
    # loss = w x with x = (1, 2): the gradient is x, the step -0.1 x
    layer = nn.Linear(2, 1, bias=False)
    model = nn.Sequential(layer)
    layer.weight.data = torch.tensor([[3.0, 4.0]])
    watch = Watch(model, 1)
    watch.before_step(1)
    model(torch.tensor([[1.0, 2.0]])).sum().backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    record = watch.after_step(1)
    assert record is not None and record["step"] == 1
    weight = math.hypot(2.9, 3.8)
    assert record["layers"]["0"] == pytest.approx(
        {
            "size": 2,
            "grad": math.sqrt(5),
            "weight": weight,
            "update": 0.1 * math.sqrt(5),
            "ratio": 0.1 * math.sqrt(5) / weight,
            "dead": None,
            "saturated": None,
        }
    )


def test_the_first_step_and_every_nth_are_observed():
    records = descend(MLP((4,), 3, hidden=[5]), torch.randn(8, 4), torch.arange(8) % 3, steps=9)
    assert [record["step"] for record in records] == list(range(1, 10))
    model = MLP((4,), 3, hidden=[5])
    records = descend(model, torch.randn(8, 4), torch.arange(8) % 3, steps=9, every_steps=4)
    assert [record["step"] for record in records] == [1, 4, 8]


def test_hooks_are_on_the_model_only_while_a_step_is_observed():
    model = MLP((4,), 3, hidden=[5])
    watch = Watch(model, 2)
    assert num_hooks(model) == 0
    watch.before_step(2)
    assert num_hooks(model) == 3  # two layers, one activation
    model(torch.zeros(2, 4)).sum().backward()
    assert watch.after_step(2) is not None
    assert num_hooks(model) == 0
    watch.before_step(3)
    assert num_hooks(model) == 0
    assert watch.after_step(3) is None
    watch.before_step(4)
    watch.before_step(6)  # step 4 was broken off: its hooks do not stay beside the new ones
    assert num_hooks(model) == 3
    watch.forget()
    assert num_hooks(model) == 0
    assert watch.after_step(6) is None


def test_training_goes_the_same_way_when_it_is_watched():
    inputs, targets = digits(16)
    torch.manual_seed(0)
    model = MLP((1, 28, 28), 10, hidden=[20], dropout=0.5, batch_norm=True)
    other = copy.deepcopy(model)
    torch.manual_seed(1)
    descend(model, inputs, targets, steps=5)
    torch.manual_seed(1)
    descend(other, inputs, targets, steps=5, every_steps=1000)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_layers_stand_input_first_without_normalisation():
    model = CNN((1, 8, 8), 10, channels=[2, 3], dense=[5], batch_norm=True)
    (record,) = descend(model, torch.randn(4, 1, 8, 8), torch.arange(4))
    names = ["blocks.conv_1", "blocks.conv_2", "head.hidden_1", "head.output"]
    assert list(record["layers"]) == names
    assert record["layers"]["blocks.conv_2"]["size"] == 3 * 2 * 9
    for name in names[:-1]:  # across batch normalisation
        assert record["layers"][name]["dead"] is not None
    assert record["layers"]["head.output"]["dead"] is None
    assert all(set(layer) == set(FIGURES) for layer in record["layers"].values())


def test_dead_relus_by_hand():
    model = MLP((2,), 2, hidden=[4])
    hidden = model.layers.hidden_1
    hidden.weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    hidden.bias.data.zero_()
    # before the ReLU: (1, -1, 2, -2) and (-1, 1, 3, -3); only the last unit is 0 for both
    inputs = torch.tensor([[1.0, 2.0], [-1.0, 3.0]])
    (record,) = descend(model, inputs, torch.tensor([0, 1]))
    assert record["layers"]["layers.hidden_1"]["dead"] == 0.25
    assert record["layers"]["layers.hidden_1"]["saturated"] is None
    (record,) = descend(model, -inputs.abs(), torch.tensor([0, 1]))
    assert record["layers"]["layers.hidden_1"]["dead"] == 0.5


def test_a_channel_is_dead_when_it_is_so_everywhere():
    model = CNN((1, 4, 4), 2, channels=[2], dense=[])
    conv = model.blocks.conv_1
    conv.weight.data.zero_()
    conv.weight.data[:, 0, 1, 1] = torch.tensor([1.0, -1.0])
    conv.bias.data.zero_()
    images = torch.ones(3, 1, 4, 4)
    (record,) = descend(model, images, torch.tensor([0, 1, 0]), lr=0.0)
    assert record["layers"]["blocks.conv_1"]["dead"] == 0.5
    images[1, 0, 2, 3] = -1.0  # one pixel of one image wakes the second channel
    (record,) = descend(model, images, torch.tensor([0, 1, 0]), lr=0.0)
    assert record["layers"]["blocks.conv_1"]["dead"] == 0.0


@pytest.mark.parametrize(
    ("activation", "limit"), [("sigmoid", math.log(0.98 / 0.02)), ("tanh", math.atanh(0.98))]
)
def test_saturated_activations_by_hand(activation, limit):
    model = MLP((1,), 2, hidden=[2], activation=activation)
    hidden = model.layers.hidden_1
    hidden.weight.data = torch.tensor([[1.0], [0.0]])  # the second unit stays in the middle
    hidden.bias.data.zero_()
    inputs = limit * torch.tensor([[1.01], [-1.01], [0.99], [-0.99]])
    (record,) = descend(model, inputs, torch.tensor([0, 1, 0, 1]))
    assert record["layers"]["layers.hidden_1"]["saturated"] == 0.25
    assert record["layers"]["layers.hidden_1"]["dead"] is None


@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "gelu", "identity"])
def test_what_neither_dies_nor_saturates_has_no_shares(activation):
    model = MLP((2,), 2, hidden=[3], activation=activation)
    (record,) = descend(model, torch.randn(4, 2), torch.tensor([0, 1, 0, 1]))
    layer = record["layers"]["layers.hidden_1"]
    assert (layer["dead"], layer["saturated"]) == (None, None)
    assert layer["grad"] is not None and layer["grad"] > 0


def test_one_activation_module_that_serves_two_layers():
    relu = nn.ReLU(inplace=True)
    model = nn.Sequential(nn.Linear(1, 2), relu, nn.Linear(2, 1), relu)
    for layer, value in ((model[0], 1.0), (model[2], -1.0)):
        layer.weight.data.fill_(value)
        layer.bias.data.zero_()
    watch = Watch(model, 1)
    watch.before_step(1)
    model(torch.ones(3, 1)).sum().backward()
    record = watch.after_step(1)
    assert record is not None
    assert record["layers"]["0"]["dead"] == 0.0
    assert record["layers"]["2"]["dead"] == 1.0


def test_frozen_layers_have_no_gradient_and_no_update():
    model = MLP((4,), 3, hidden=[5])
    model.layers.hidden_1.requires_grad_(False)
    (record,) = descend(model, torch.randn(8, 4), torch.arange(8) % 3)
    frozen = record["layers"]["layers.hidden_1"]
    assert (frozen["grad"], frozen["update"], frozen["ratio"]) == (None, 0.0, 0.0)
    assert frozen["dead"] is not None
    assert record["layers"]["layers.output"]["grad"]


def test_weights_of_zero_have_no_relative_update():
    model = MLP((4,), 3, hidden=[5], init="zeros")
    (record,) = descend(model, torch.randn(8, 4), torch.arange(8) % 3)
    layer = record["layers"]["layers.output"]
    assert (layer["weight"], layer["update"], layer["ratio"]) == (0.0, 0.0, None)


def test_norms_are_those_after_clipping():
    model = nn.Sequential(nn.Linear(4, 3, bias=False))
    (record,) = descend(model, torch.randn(8, 4), torch.arange(8) % 3, max_grad_norm=1e-3, lr=0.5)
    layer = record["layers"]["0"]
    assert layer["grad"] == pytest.approx(1e-3, rel=1e-3)
    assert layer["update"] == pytest.approx(5e-4, rel=1e-3)


def test_lbfgs_evaluates_often_and_gives_one_record():
    torch.manual_seed(0)
    model = MLP((2,), 1, hidden=[6], activation="tanh")
    inputs = 5 * torch.randn(8, 2)
    with torch.no_grad():
        first = torch.tanh(model.layers.hidden_1(inputs))
    watch = Watch(model, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = (model(inputs) - 1).square().mean()
        loss.backward()
        return loss

    watch.before_step(1)
    optimizer.step(closure)
    record = watch.after_step(1)
    assert calls > 2 and record is not None
    layer = record["layers"]["layers.hidden_1"]
    assert layer["grad"] == pytest.approx(float(model.layers.hidden_1.weight.grad.norm()))
    share = float((first.abs() > 0.98).float().mean())  # of the first evaluation
    assert 0 < share < 1
    assert layer["saturated"] == pytest.approx(share)
    assert num_hooks(model) == 0


def test_a_weight_that_the_model_itself_owns():
    class Factor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.eye(3))

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs @ self.matrix

    (record,) = descend(Factor(), torch.randn(4, 3), torch.arange(4) % 3)
    assert list(record["layers"]) == ["matrix"]


def test_a_model_without_layers_is_told():
    class Point(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position = nn.Parameter(torch.zeros(2))

    with pytest.raises(UserError, match=r"^diagnostics=gradients: .*this model has none \(for"):
        Watch(Point(), 10)


def test_compiled_models_have_norms_but_no_shares():
    model = MLP((4,), 3, hidden=[5])
    model.compile(backend="eager")
    records = descend(model, torch.randn(8, 4), torch.arange(8) % 3, steps=4, every_steps=2)
    assert [record["step"] for record in records] == [1, 2, 4]
    for record in records:
        assert record["layers"]["layers.hidden_1"]["grad"]
        assert record["layers"]["layers.hidden_1"]["dead"] is None


@pytest.mark.parametrize("every_steps", [10, 7])
def test_a_step_that_ended_in_divergence_is_recorded_observed_or_not(every_steps):
    model = nn.Sequential(nn.Linear(2, 1, bias=False))
    watch = Watch(model, every_steps)
    watch.before_step(7)
    model[0].weight.grad = torch.tensor([[math.inf, 1.0]])
    record = watch.end(7)
    assert num_hooks(model) == 0
    assert record["step"] == 7
    assert record["layers"]["0"]["grad"] == math.inf
    assert (record["layers"]["0"]["update"], record["layers"]["0"]["ratio"]) == (None, None)
    found = verdict([record])
    assert found is not None and found.kind == "exploding"
    assert "its norm was inf in 0 at step 7" in found.text


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("init", ["torch", "xavier_uniform"])
def test_ten_sigmoid_layers_vanish(width, init):
    torch.manual_seed(0)
    model = MLP((1, 28, 28), 10, hidden=[width] * 10, activation="sigmoid", init=init)
    found = verdict(descend(model, *digits(), steps=3))
    assert found is not None and found.kind == "vanishing"
    assert found.headline == "the gradient vanishes towards the input"
    first, second = found.text.splitlines()
    assert first.startswith("the gradient vanishes towards the input: RMS gradient ")
    assert "layers.hidden_1" in first and "layers.output" in first
    assert first.endswith("(median over steps 1 to 3)")
    assert second.startswith("what helps: ")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth", [1, 10])
def test_relu_layers_with_kaiming_are_sound(depth, seed):
    torch.manual_seed(seed)
    model = MLP((1, 28, 28), 10, hidden=[32] * depth, init="kaiming_normal")
    found = verdict(descend(model, *digits(), steps=3))
    assert found is not None and found.kind == "sound"
    assert found.headline == "gradients are sound"
    assert len(found.text.splitlines()) == 1


def test_a_convolutional_network_is_sound():
    torch.manual_seed(0)
    model = CNN((1, 28, 28), 10, channels=[4, 8], dense=[16])
    found = verdict(descend(model, *digits(16), steps=3))
    assert found is not None and found.kind == "sound"


@pytest.mark.parametrize("depth", [3, 10])
def test_relu_layers_drawn_ten_times_too_wide_explode(depth):
    torch.manual_seed(0)
    model = MLP((1, 28, 28), 10, hidden=[32] * depth, init="kaiming_normal")
    for parameter in model.parameters():
        parameter.data.mul_(10)
    found = verdict(descend(model, *digits(), steps=3, lr=1e-12))
    assert found is not None and found.kind == "exploding"
    assert found.headline == "the gradient explodes"
    assert "its norm reached" in found.text


def record_of(step: int, **layers: tuple[float, float | None]) -> Record:
    """A record of layers given by size and gradient norm, each of weight 1 and update 0.1."""
    rest = {"weight": 1.0, "update": 0.1, "ratio": 0.1, "dead": None, "saturated": None}
    return {
        "step": step,
        "layers": {name: {"size": n, "grad": grad, **rest} for name, (n, grad) in layers.items()},
    }


def kind_of(*records: Record) -> str | None:
    found = verdict(records)
    return None if found is None else found.kind


def test_verdicts_compare_gradients_by_weight():
    # norms 1 and 20, but 1 / 1000 and 20 / 10 a weight: a ratio of 0.0005
    assert kind_of(record_of(1, a=(10**6, 1.0), b=(100, 20.0))) == "vanishing"
    assert kind_of(record_of(1, a=(10**6, 1.0), b=(10**6, 20.0))) == "sound"
    assert kind_of(record_of(1, a=(100, 1e-3), b=(100, 0.999))) == "sound"
    assert kind_of(record_of(1, a=(100, 1e-3), b=(100, 1.001))) == "vanishing"


def test_a_gradient_that_grows_towards_the_input_explodes():
    assert kind_of(record_of(1, a=(100, 1.0), b=(100, 1e-3 * 1.001))) == "sound"
    found = verdict([record_of(1, a=(100, 1.0), b=(100, 1e-3 * 0.999))])
    assert found is not None and found.kind == "exploding"
    assert "a ratio of 1e+03" in found.text
    assert kind_of(record_of(1, a=(100, 1.0), b=(100, 0.0))) == "exploding"


def test_large_norms_explode_at_any_time():
    sound = [record_of(step, a=(1, 1.0), b=(1, 1.0)) for step in range(1, 30)]
    assert kind_of(*sound) == "sound"
    assert kind_of(*sound, record_of(30, a=(1, 1.0), b=(1, 1000.0))) == "sound"
    found = verdict([*sound, record_of(30, a=(1, 1.0), b=(1, 1001.0)), *sound])
    assert found is not None and found.kind == "exploding"
    assert "reached 1e+03 in b at step 30 (expected at most 1,000)" in found.text


@pytest.mark.parametrize("norm", [math.inf, math.nan])
def test_gradients_that_are_not_finite_explode(norm):
    sound = [record_of(step, a=(1, 1.0), b=(1, 1.0)) for step in range(1, 5)]
    assert kind_of(*sound, record_of(5, a=(1, 1.0), b=(1, norm))) == "exploding"


def test_steps_that_the_scaler_of_fp16_refused_do_not_count():
    refused = [record_of(step, a=(1, math.inf), b=(1, 1.0)) for step in range(1, 10)]
    for record in refused:
        for layer in record["layers"].values():
            layer["update"] = layer["ratio"] = 0.0
    found = verdict([*refused, record_of(10, a=(1, 1.0), b=(1, 1.0))])
    assert found is not None and found.kind == "sound"
    assert "(median over steps 10 to 10)" in found.text
    assert verdict(refused) is None


def test_early_records_decide():
    early = [record_of(step, a=(1, 1e-6), b=(1, 1.0)) for step in range(1, 11)]
    late = [record_of(step, a=(1, 1.0), b=(1, 1.0)) for step in range(11, 100)]
    assert kind_of(*early, *late) == "vanishing"
    assert kind_of(*late, *early) == "sound"
    assert kind_of(*early[:4], *late) == "sound"  # four of ten are not the median


def test_a_network_that_has_converged_is_sound():
    assert kind_of(*(record_of(k, a=(1, 1e-9), b=(1, 2e-9)) for k in range(1, 5))) == "sound"


def test_gradients_of_zero_everywhere_vanish():
    model = MLP((4,), 3, hidden=[5, 5], init="zeros")
    found = verdict(descend(model, torch.randn(8, 4), torch.arange(8) % 3))
    assert found is not None and found.kind == "vanishing"
    assert "it is 0 in layers.hidden_1 and in layers.output" in found.text


def test_frozen_layers_are_left_out_of_the_verdict():
    found = verdict([record_of(1, a=(1, None), b=(1, 1e-5), c=(1, 1.0))])
    assert found is not None and found.kind == "vanishing"
    assert "1e-05 in b, 1 in c: a ratio of 1e-05" in found.text
    assert kind_of(record_of(1, a=(1, None), b=(1, 0.1), c=(1, None))) == "sound"


def test_without_gradients_there_is_no_verdict():
    assert verdict([]) is None
    assert verdict([record_of(1, a=(1, None))]) is None


def test_records_survive_the_way_through_a_file(tmp_path: Path):
    path = tmp_path / "diagnostics.jsonl"
    records = [
        record_of(1, a=(6, 0.1), b=(2, None)),
        record_of(10, a=(6, math.inf), b=(2, -math.inf)),
        record_of(20, a=(6, 1e-300), b=(2, math.nan)),
    ]
    lines = [to_line(record) for record in records]
    assert '"grad": "inf"' in lines[1] and all("\n" not in line for line in lines)
    path.write_text("".join(line + "\n" for line in lines))
    read = read_records(path)
    assert read[:2] == records[:2]
    assert read[2]["layers"]["a"] == records[2]["layers"]["a"]
    assert math.isnan(read[2]["layers"]["b"]["grad"])


def test_no_file_has_no_records(tmp_path: Path):
    assert read_records(tmp_path / "diagnostics.jsonl") == []


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "3",
        '{"step": 1}',
        '{"step": 1, "layers": []}',
        '{"step": 1, "layers": {"a": {"grad": 1}}}',
        '{"step": "x", "layers": {}}',
        '{"step": 1e999, "layers": {}}',
        to_line(record_of(1, other=(1, 1.0))),
        to_line(record_of(1, a=(1, 1.0)))[:-5],
        to_line(record_of(1, a=(1, 1.0))).replace("0.1", '"much"'),
        "[" * 100_000,
    ],
)
def test_damaged_files_are_told(tmp_path: Path, line):
    path = tmp_path / "diagnostics.jsonl"
    path.write_text(to_line(record_of(1, a=(1, 1.0))) + "\n" + line + "\n")
    with pytest.raises(UserError, match=r"diagnostics\.jsonl: damaged, line 2 is no record"):
        read_records(path)


def test_files_that_are_no_text_are_told(tmp_path: Path):
    (tmp_path / "diagnostics.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="damaged, line 1"):
        read_records(tmp_path / "diagnostics.jsonl")


def test_arrays_have_a_row_for_each_layer():
    records = [record_of(1, a=(6, 0.1), b=(2, None)), record_of(10, a=(6, math.inf), b=(2, 3.0))]
    records[1]["layers"]["b"]["dead"] = 0.5
    found = arrays(records)
    assert found.layers == ["a", "b"]
    assert found.steps.tolist() == [1, 10]
    np.testing.assert_array_equal(found.grad_norms, [[0.1, np.inf], [np.nan, 3.0]])
    np.testing.assert_array_equal(found.ratios, [[0.1, 0.1], [0.1, 0.1]])
    np.testing.assert_array_equal(found.dead, [[np.nan, np.nan], [np.nan, 0.5]])
    assert np.isnan(found.saturated).all() and found.saturated.shape == (2, 2)


def test_arrays_of_no_records_are_empty():
    found = arrays([])
    assert found.layers == [] and found.grad_norms.shape == (0, 0)


def test_scalars_leave_out_what_there_is_not():
    record = record_of(1, a=(6, 0.1), b=(2, None))
    record["layers"]["a"]["dead"] = 0.25
    record["layers"]["b"]["saturated"] = 0.75
    assert scalars(record) == {
        "gradients/a": 0.1,
        "weights/a": 1.0,
        "updates/a": 0.1,
        "update_ratio/a": 0.1,
        "dead_relus/a": 0.25,
        "weights/b": 1.0,
        "updates/b": 0.1,
        "update_ratio/b": 0.1,
        "saturated/b": 0.75,
    }
