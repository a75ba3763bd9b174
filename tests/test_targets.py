"""What a config may have called: what is refused is neither imported nor called."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra._internal.utils import _locate
from omegaconf import OmegaConf

from dlrun import schema
from dlrun.errors import UserError
from dlrun.hydra_session import packaged_conf
from dlrun.models import mlp
from dlrun.targets import Trust, find_target, stored_faults

OWN = (
    "dlrun calls what lies in dlrun, torch.nn, torch.optim, torchvision.models, "
    "torchvision.datasets, torchvision.transforms, pytorch_optimizer, sklearn, and in modules of "
    "the directory you run from (or, if you trust it, type --trust)"
)
IF_TRUSTED = "(if you trust where it comes from, type --trust)"
DATA = {
    "model": "a stored config may only name models of dlrun, torch.nn, torchvision.models",
    "optimizer": "a stored config may only name optimizers of dlrun, torch.optim, "
    "pytorch_optimizer",
    "dataset": "a stored config may only name data sets of dlrun",
    "nested": "a stored config may only name layers of torch.nn",
}
MLP = "dlrun.models.mlp.MLP"
PACKAGED = [
    (group, file.stem)
    for group in schema.OPEN_GROUPS
    for file in sorted((packaged_conf() / group).glob("*.yaml"))
]
# Calls that do harm in the directory of a test: (target, arguments).
HARM: dict[str, dict[str, Any]] = {
    "os.system": {"command": "touch harm"},
    "os.mkdir": {"path": "harm"},
    "subprocess.Popen": {"args": ["touch", "harm"]},
    "builtins.eval": {"_args_": ["open('harm', 'w').close()"]},
    "builtins.exec": {"_args_": ["open('harm', 'w').close()"]},
    "shutil.rmtree": {"path": "folder"},
    "urllib.request.urlretrieve": {"url": Path("/dev/null").as_uri(), "filename": "harm"},
    "torch.load": {"f": "pickle.pt", "weights_only": False},
    "torch.hub.load": {"repo_or_dir": "hub", "model": "net", "source": "local"},
    "torch.nn.modules.module.torch.hub.load": {
        **{"repo_or_dir": "hub", "model": "net", "source": "local"}
    },
    "torch.optim.optimizer.torch.load": {"f": "pickle.pt", "weights_only": False},
    "dlrun.cli.os.system": {"command": "touch harm"},
    "dlrun.hydra_app.os.system": {"command": "touch harm"},
    "dlrun.models.torchvision_classifier.torch.load": {"f": "pickle.pt", "weights_only": False},
    "dlrun.datasets.downloads.shutil.rmtree": {"path": "folder"},
}


class Harmful:
    """Its pickle, once loaded, does harm."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch harm",)


@pytest.fixture
def prey(tmp_path: Path) -> Callable[[], bool]:
    """Files for the calls of HARM to work on; tells whether any of them did its work."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "hubconf.py").write_text("open('harm', 'w').close()\nnet = object\n")
    torch.save(Harmful(), tmp_path / "pickle.pt")

    def harmed() -> bool:
        return Path("harm").exists() or not Path("folder").exists()

    return harmed


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a module that is importable and leaves a file `imported`; gives its name."""
    written = set()

    def write(name: str, body: str = "", folder: Path = tmp_path) -> str:
        file = folder / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        imported = f"open({str(tmp_path / 'imported')!r}, 'w').close()\n"
        file.write_text(f"{imported}import os\n{body}\nclass Net:\n    pass\n")
        monkeypatch.syspath_prepend(folder)
        written.update({name, name.split(".")[0]})
        return name

    yield write  # type: ignore[misc]
    for name in written:
        sys.modules.pop(name, None)


def packaged_node(group: str, name: str) -> dict[str, Any]:
    """A packaged choice of an open group with its values."""
    content = OmegaConf.load(packaged_conf() / group / f"{name}.yaml")
    node = content.get(group, content)  # some files also set keys of other groups
    config = OmegaConf.merge(OmegaConf.structured(schema.Config), {group: node})
    values = OmegaConf.to_container(config[group], resolve=True)
    assert isinstance(values, dict)
    return values  # type: ignore[return-value]


def refusal(node: Any, trust: Trust, group: str = "model") -> str:
    """The text with which a node is refused."""
    with pytest.raises(UserError) as caught:
        find_target(group, node, trust)
    return str(caught.value)


@pytest.mark.parametrize("target", HARM)
def test_the_harm_is_real(target: str, prey: Callable[[], bool]) -> None:
    assert not prey()
    arguments = dict(HARM[target])
    result = _locate(target)(*arguments.pop("_args_", ()), **arguments)
    if isinstance(result, subprocess.Popen):
        result.wait()
    assert prey()


@pytest.mark.parametrize("trust", ["own", "data"])
@pytest.mark.parametrize("target", HARM)
def test_harm_is_refused_wherever_it_stands(
    target: str, trust: Trust, prey: Callable[[], bool]
) -> None:
    bad = {"_target_": target, **HARM[target]}
    for group in schema.OPEN_GROUPS:
        text = refusal({**bad, "_partial_": False}, trust, group)
        assert text.startswith(f"{group}._target_={target}: ")
        assert text.endswith(OWN if trust == "own" else f"{DATA[group]} {IF_TRUSTED}")
        assert len(text.splitlines()) == 1
    good = packaged_node("model", "mlp")
    for key, nested in (
        ("layer", bad),
        ("layer.0", [bad]),
        ("layer.1.deep.0.0", [{}, {"deep": [[bad]]}]),
        ("layer.deep", {"_target_": "torch.nn.ReLU", "deep": bad}),
    ):
        text = refusal({**good, "layer": nested}, trust)
        assert text == refusal(OmegaConf.create({**good, "layer": nested}), trust)
        assert text.startswith(f"model.{key}._target_={target}: ")
        assert text.endswith(OWN if trust == "own" else f"{DATA['nested']} {IF_TRUSTED}")
        assert len(text.splitlines()) == 1
    assert not prey()


@pytest.mark.parametrize("trust", ["own", "data"])
def test_a_refused_module_is_not_imported(trust: Trust, capsys: pytest.CaptureFixture) -> None:
    assert "this" not in sys.modules  # of the standard library; it prints a poem
    assert "model._target_=this.s: " in refusal({"_target_": "this.s"}, trust)
    refusal({"_target_": MLP, "layer": {"_target_": "this.s"}}, trust)
    refusal({"_target_": "this.s", "layer": {"_target_": "torch.nn.ReLU"}}, trust)
    assert "this" not in sys.modules
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "urllib.request.urlopen", "functools.partial", "importlib.import_module"),
        *("hydra.utils.instantiate", "hydra.utils.get_object", "joblib.load", "pandas.read_pickle"),
        *("torch.load", "torch.hub.load", "torch.jit.load", "torch.ops.load_library"),
    ],
)
def test_the_line_that_refuses_a_name(target: str) -> None:
    assert refusal({"_target_": target}, "own") == f"model._target_={target}: {OWN}"
    for group in schema.OPEN_GROUPS:
        text = refusal({"_target_": target}, "data", group)
        assert text == f"{group}._target_={target}: {DATA[group]} {IF_TRUSTED}"
    node = {"_target_": MLP, "layers": [{"_target_": target}]}
    text = refusal(node, "data")
    assert text == f"model.layers.0._target_={target}: {DATA['nested']} {IF_TRUSTED}"


@pytest.mark.parametrize(
    ("target", "place"),
    {
        "torch.nn.modules.module.torch.hub.load": "torch",
        "torch.nn.functional.Tensor": "torch",
        "torch.nn.functional.math.sqrt": "math",
        "torch.nn.functional.gelu.__self__.gelu": "torch._C._nn",
        "torch.nn.Linear.__class__": "builtins",
        "torch.nn.Linear.__init__.__class__": "builtins",
        "torch.nn.Linear.__init__.__call__": "a method-wrapper",
        "torch.nn.Linear.forward.__globals__.get": "a dict",
        "torch.nn.Module.__subclasses__": "a builtin_function_or_method",
        "torch.nn.modules.module.functools.partial": "functools",
        "torchvision.datasets.mnist.shutil.rmtree": "shutil",
        "sklearn.os.system": "os",
        "dlrun.cli.os.system": "os",
        "dlrun.data_dir.Path.home": Path.__module__,
        "dlrun.hydra_session.Hydra": "hydra._internal.hydra",
        "dlrun.building.instantiate": "hydra._internal.instantiate._instantiate2",
    }.items(),
)
def test_names_that_begin_well_and_lead_away(target: str, place: str) -> None:
    text = refusal({"_target_": target}, "own")
    assert text == f"model._target_={target}: leads to {place}; {OWN}"


@pytest.mark.parametrize(
    "target",
    [
        *("torch.nn.Linear", "torch.nn.Embedding.from_pretrained", "torch.nn.functional.relu"),
        *("torch.nn.functional.gelu", "torch.nn.functional.conv2d", "torch.nn.init.zeros_"),
        *("torch.optim.SGD", "torch.optim.lr_scheduler.StepLR", "pytorch_optimizer.Lion"),
        *("torchvision.models.resnet18", "torchvision.datasets.MNIST"),
        *("torchvision.transforms.v2.Resize", "torchvision.transforms.functional.rotate"),
        *("sklearn.datasets.make_moons", "sklearn.linear_model.Ridge", MLP),
    ],
)
def test_what_the_user_may_name(target: str) -> None:
    assert find_target("model", {"_target_": target}, "own") == _locate(target)


@pytest.mark.parametrize("target", ["torch.nnx.Linear", "torch.jit.load", "dlrunner.x", "torch.nn"])
def test_prefixes_end_at_a_dot(target: str) -> None:
    text = refusal({"_target_": target}, "own")
    expected = {
        "dlrunner.x": "cannot be imported: No module named 'dlrunner'",
        "torch.nn": "is a module, not callable",
    }
    assert text == f"model._target_={target}: {expected.get(target, OWN)}"


@pytest.mark.parametrize(
    ("target", "kind"),
    {
        "dlrun.models.mlp": "module",
        "dlrun.models.mlp.__doc__": "str",
        MLP + ".__mro__": "tuple",
    }.items(),
)
def test_what_cannot_be_called(target: str, kind: str) -> None:
    for trust in ("own", "data", "all"):
        text = refusal({"_target_": target}, trust)
        assert text == f"model._target_={target}: is a {kind}, not callable"


def method_of_a_path(self: Path) -> None:
    self.touch()


class Called:
    """An instance that can be called, with an attribute that does something when looked up."""

    def __call__(self) -> None:
        Path("harm").touch()

    @property
    def spring(self) -> Callable[[], None]:
        Path("harm").touch()
        return self


@pytest.mark.parametrize(
    ("planted", "name", "place"),
    [
        (functools.partial(os.system, "touch harm"), "planted", os.system.__module__),
        (functools.partial(functools.partial(Path("harm").touch)), "planted", Path.__module__),
        (types.MethodType(method_of_a_path, Path("harm")), "planted", __name__),
        (Path("harm").touch, "planted", Path.touch.__module__),
        (Called(), "planted", __name__),
        (Called(), "planted.spring", __name__),
        (functools.lru_cache(method_of_a_path), "planted", __name__),
        (eval, "planted", "builtins"),
        ([].append, "planted", "a builtin_function_or_method"),
        (lambda: Path("harm").touch(), "planted", __name__),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("trust", ["own", "data"])
def test_what_an_allowed_module_holds_but_does_not_define(
    planted: Any, name: str, place: str, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlp, "planted", planted, raising=False)
    target = f"dlrun.models.mlp.{name}"
    accepted = OWN if trust == "own" else f"{DATA['model']} {IF_TRUSTED}"
    text = refusal({"_target_": target}, trust)
    assert text == f"model._target_={target}: leads to {place}; {accepted}"
    assert not Path("harm").exists()


def test_a_stored_config_names_classes_and_functions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    partial = functools.partial(mlp.MLP)
    monkeypatch.setattr(mlp, "planted", partial, raising=False)
    node = {"_target_": "dlrun.models.mlp.planted"}
    assert find_target("model", node, "own") is partial
    text = refusal(node, "data")
    assert text == f"model._target_=dlrun.models.mlp.planted: {DATA['model']} {IF_TRUSTED}"


@pytest.mark.parametrize(
    ("group", "target"),
    [
        *(("model", "dlrun.checkpoint.save_checkpoint"), ("model", "dlrun.datasets.toy.moons")),
        *(("model", "torch.optim.SGD"), ("model", "torchvision.datasets.MNIST")),
        *(("optimizer", "torch.nn.Linear"), ("optimizer", "dlrun.models.mlp.MLP")),
        *(("dataset", "torchvision.datasets.MNIST"), ("dataset", "sklearn.datasets.make_moons")),
        *(("dataset", "dlrun.models.mlp.MLP"), ("dataset", "dlrun.cli.main")),
    ],
)
def test_stored_targets_belong_to_their_group(group: str, target: str) -> None:
    find_target(group, {"_target_": target}, "own")
    text = refusal({"_target_": target}, "data", group)
    assert text == f"{group}._target_={target}: {DATA[group]} {IF_TRUSTED}"


@pytest.mark.parametrize(
    "target", ["torch.nn.functional.relu", "torch.nn.init.zeros_", "torch.nn.Parameter", MLP]
)
def test_stored_nested_targets_are_layers_of_torch(target: str) -> None:
    node = {"_target_": MLP, "layer": {"_target_": target}}
    assert find_target("model", node, "own") is mlp.MLP
    text = refusal(node, "data")
    assert text == f"model.layer._target_={target}: {DATA['nested']} {IF_TRUSTED}"
    layers = [{"_target_": "torch.nn.ReLU"}, {"_target_": "torch.nn.Linear", "bias": False}]
    assert find_target("model", {"layers": layers, "_target_": MLP}, "data") is mlp.MLP


@pytest.mark.parametrize("trust", ["own", "data"])
def test_keys_with_dots_hide_nothing(trust: Trust) -> None:
    nodes = {"a.b": {"_target_": "os.system"}, "a": {"b": {"_target_": "torch.nn.ReLU"}}}
    assert "model.a.b._target_=os.system: " in refusal({"_target_": MLP, **nodes}, trust)


@pytest.mark.parametrize("trust", ["own", "data"])
def test_all_targets_of_a_node_are_refused_together(trust: Trust) -> None:
    node = {"x": [{"_target_": "os.system"}], "_target_": "torch.load"}
    lines = refusal(node, trust).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "model._target_=torch.load",
        "model.x.0._target_=os.system",
    ]


@pytest.mark.parametrize("trust", ["own", "data", "all"])
def test_only_keys_named_target_count(trust: Trust) -> None:
    node = {"_target_": MLP, "target": "os.system", "x": ["os.system", {"_target": "os.system"}]}
    assert find_target("model", node, trust) is mlp.MLP


def test_trust_refuses_nothing_and_calls_nothing(prey: Callable[[], bool]) -> None:
    node = {"_target_": "os.system", "command": "touch harm", "x": {"_target_": "torch.load"}}
    assert find_target("model", node, "all") is os.system
    assert not prey()
    assert refusal({"_target_": "math.pi"}, "all") == "model._target_=math.pi: is a float, not " + (
        "callable"
    )


@pytest.mark.parametrize("trust", ["own", "data", "all"])
@pytest.mark.parametrize("target", [3, True, ["os", "system"], {}, "", ".", "a..b", "../x", "os "])
def test_names_that_are_none(target: object, trust: Trust) -> None:
    expected = "expected a dotted Python name (for example mypackage.Net)"
    text = refusal({"_target_": target}, trust)
    assert text == f"model._target_={target}: {expected}"
    text = refusal({"_target_": MLP, "x": {"_target_": target}}, trust)
    assert text == f"model.x._target_={target}: {expected}"


@pytest.mark.parametrize("node", [{}, {"_target_": None}, {"x": {"_target_": "torch.nn.ReLU"}}])
def test_a_target_is_needed(node: dict[str, Any]) -> None:
    for trust in ("own", "data", "all"):
        assert refusal(node, trust) == (
            "model._target_: needs a dotted Python name (for example mypackage.Net)"
        )


@pytest.mark.parametrize("trust", ["own", "data", "all"])
def test_what_comes_from_a_file_is_shown_on_one_plain_line(trust: Trust) -> None:
    text = refusal({"_target_": "os\x1b[2J\nerror: \r.x"}, trust)
    assert text.startswith("model._target_=os\\x1b[2J\\nerror: \\r.x: expected a dotted")
    text = refusal({"_target_": MLP, "k\x1b\n": {"_target_": "-"}}, trust)
    assert text.startswith("model.k\\x1b\\n._target_=-: ")
    text = refusal({"_target_": "-" * 100_000}, trust)
    assert len(text) < 350


@pytest.mark.parametrize("trust", ["own", "data"])
def test_text_is_not_resolved_a_second_time(trust: Trust) -> None:
    text = "${oc.create:{_target_:os.system,command:touch harm}}"  # what \${...} resolves to
    assert refusal({"_target_": MLP, "x": [text]}, trust) == (
        f"model.x.0={text}: expected text without ${{"
    )


def test_own_modules_are_the_users(own_module: Callable[..., str]) -> None:
    name = own_module("mynet")
    node = {"_target_": f"{name}.Net"}
    found = find_target("model", node, "own")
    assert found.__module__ == name
    assert Path("imported").exists()
    # What they imported there is theirs to call.
    assert find_target("model", {"_target_": f"{name}.os.system"}, "own") is os.system


def test_own_modules_are_not_for_stored_configs(own_module: Callable[..., str]) -> None:
    name = own_module("mynet_stored")
    node = {"_target_": f"{name}.Net"}
    assert refusal(node, "data") == f"model._target_={name}.Net: {DATA['model']} {IF_TRUSTED}"
    refusal({"_target_": MLP, "x": node}, "data")
    refusal(node, "data", "optimizer")
    refusal(node, "data", "dataset")
    assert name not in sys.modules
    assert not Path("imported").exists()
    found = find_target("model", node, "all")
    assert found.__module__ == name


def test_own_packages_may_be_folders(own_module: Callable[..., str]) -> None:
    own_module("nets.small")  # without __init__.py
    assert find_target("model", {"_target_": "nets.small.Net"}, "own")


@pytest.mark.parametrize("place", [".venv/lib/python3.12/site-packages", "dist-packages"])
def test_installed_packages_are_not_the_users(
    place: str, own_module: Callable[..., str], tmp_path: Path
) -> None:
    name = own_module("somebodys_net", folder=tmp_path / place)
    text = refusal({"_target_": f"{name}.Net"}, "own")
    assert text == f"model._target_={name}.Net: {OWN}"
    assert name not in sys.modules
    assert not Path("imported").exists()


@pytest.mark.parametrize("scheme", ["stdlib", "platstdlib", "purelib", "platlib"])
def test_python_below_the_current_directory_is_not_the_users(
    scheme: str, own_module: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = own_module("installed_net", folder=tmp_path / "python")
    places = {scheme: str(tmp_path / "python")}
    monkeypatch.setattr("sysconfig.get_path", lambda name: places.get(name, "/nowhere"))
    refusal({"_target_": f"{name}.Net"}, "own")
    assert name not in sys.modules
    places.clear()
    assert find_target("model", {"_target_": f"{name}.Net"}, "own")


def test_modules_elsewhere_are_not_the_users(
    own_module: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in (own_module("far_net", folder=elsewhere), own_module("far.net", folder=elsewhere)):
        text = refusal({"_target_": f"{name}.Net"}, "own")
        assert text == f"model._target_={name}.Net: {OWN}"
        assert name not in sys.modules
    own_module("far.own")  # one folder of two places: not only the user's
    refusal({"_target_": "far.own.Net"}, "own")
    assert not Path("imported").exists()


def test_a_notebook_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    main.Net = mlp.MLP  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)
    node = {"_target_": "__main__.Net"}
    assert find_target("model", node, "own") is mlp.MLP
    refusal(node, "data")
    main.__file__ = str(tmp_path / "script.py")
    assert find_target("model", node, "own") is mlp.MLP
    main.__file__ = "/usr/bin/script"
    assert refusal(node, "own") == f"model._target_=__main__.Net: {OWN}"
    monkeypatch.setitem(sys.modules, "made_by_hand", types.ModuleType("made_by_hand"))
    assert refusal({"_target_": "made_by_hand.x"}, "own").endswith(OWN)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no good\\nat all')", "no good"),
        ("raise RuntimeError", "RuntimeError"),
        ("raise RuntimeError('\\x1b[2J')", "\\x1b[2J"),
        ("import sys; sys.exit(0)", "0"),
        ("import no_such_module", "No module named 'no_such_module'"),
    ],
)
def test_own_modules_that_fail(body: str, reason: str, own_module: Callable[..., str]) -> None:
    name = own_module("failing_net", body)
    text = refusal({"_target_": f"{name}.Net"}, "own")
    assert text == f"model._target_={name}.Net: cannot be imported: {reason}"


def test_what_does_not_exist() -> None:
    assert refusal({"_target_": "nowhere.Net"}, "own") == (
        "model._target_=nowhere.Net: cannot be imported: No module named 'nowhere'"
    )
    for trust in ("own", "data"):
        assert refusal({"_target_": "torch.nn.Nope"}, trust) == (
            "model._target_=torch.nn.Nope: cannot be imported: No module named 'torch.nn.Nope'"
        )


def test_packaged_choices_are_found() -> None:
    assert len(PACKAGED) >= 31


@pytest.mark.parametrize(("group", "name"), PACKAGED)
def test_packaged_choices_may_be_called(group: str, name: str) -> None:
    node = packaged_node(group, name)
    for trust in ("own", "data", "all"):
        assert find_target(group, node, trust) is _locate(node["_target_"])
    assert stored_faults({group: node}) == []


@pytest.mark.parametrize(
    ("config", "start"),
    [
        ({"model": "${evil:}"}, "model=${evil:}: a stored config holds values"),
        ({"model": {"x": ["${evil:}"]}}, "model.x.0=${evil:}: a stored config holds values"),
        ({"data_dir": "\\${oc.env:HOME}"}, "data_dir=\\${oc.env:HOME}: a stored config holds"),
        ({"seed": "a\x1b${b}"}, "seed=a\\x1b${b}: a stored config holds"),
        ({"_target_": "torch.nn.ReLU"}, "_target_: a stored config may not have this key"),
        ({"loss": {"_target_": "x"}}, "loss._target_: a stored config may not have this key"),
        ({"a": [{"_target_": 1}]}, "a.0._target_: a stored config may not have this key"),
        ({"model.x": {"_target_": 1}}, "model.x._target_: a stored config may not"),
        ({"model": {"_args_": []}}, "model._args_: a stored config may not"),
        ({"model": {"x": {"_recursive_": False}}}, "model.x._recursive_: a stored config may not"),
        ({"dataset": {"__class__": 1}}, "dataset.__class__: a stored config may not"),
    ],
)
def test_stored_configs_hold_values(config: dict[str, Any], start: str) -> None:
    (line,) = stored_faults(config)
    assert line.startswith(start)
    assert line.endswith(IF_TRUSTED)
    assert len(line.splitlines()) == 1


def test_stored_configs_that_are_fine() -> None:
    nested = {"_target_": "torch.nn.ReLU", "_partial_": True, "_convert_": "all"}
    node = {**nested, "x": [1, None, "a$b", {3: nested}]}
    assert stored_faults({"model": node, "optimizer": node, "dataset": node, "seed": 1}) == []
