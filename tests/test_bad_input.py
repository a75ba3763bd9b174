"""Bad input through the command line: exit code 2, at most three lines, what to type instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Command
from PIL import Image

BAD_WORDS: dict[str, tuple[str, ...]] = {
    # a command: (what the message must hold, …)
    "optim=adma": ("optimizer=adma", "did you mean adam?"),
    "model=resnet": ("model=resnet", "torchvision"),
    "dataset=minst": ("dataset=minst", "did you mean mnist?"),
    "device=gpu": ("device=gpu", "auto, cpu, cuda, mps"),
    "loss=cross_entropie": ("loss=cross_entropie", "did you mean cross_entropy?"),
    "scheduler=cosin": ("scheduler=cosin", "did you mean cosine?"),
    "stopping=never": ("stopping=never", "epochs"),
    "debug=fastdevrun": ("debug=fastdevrun", "did you mean fast_dev_run?"),
    "regularization=[dropout,l3]": ("regularization=l3", "expected one of", "l2"),
    "optim=[adam,sgd]": ("optimizer=[adam,sgd]", "expected one choice", "-m"),
    "optim=adam,sgd": ("optimizer=adam,sgd", "needs -m"),
    "optmizer=adam": ("optmizer", "did you mean optimizer?"),
    "optim.learning_rate=0.1": ("optimizer.learning_rate", "no such key"),
    "lr=0.1": ("lr: no such key", "did you mean optimizer.lr?"),
    "model.hiden=[8]": ("model.hiden", "did you mean hidden?"),
    "optim=sgd optim.betas=[0.9,0.99]": ("optimizer.betas", "no such key"),
    "regularization.droput=0.1": ("regularization.droput", "did you mean dropout?"),
    "+model.depth=3": ("model.depth: no such key",),
    "epochs=ten": ("epochs=ten", "a whole number"),
    "epochs=-1": ("epochs=-1", ">= 0", "epochs=10"),
    "epochs=2.5": ("epochs=2.5", "a whole number"),
    "seed=": ("seed=", "a whole number"),
    "seed=-1": ("seed=-1", ">= 0"),
    "batch_size=0": ("batch_size=0", ">= 1 or full", "batch_size=64"),
    "batch_size=all": ("batch_size=all", "full"),
    "batch_size=2.5": ("batch_size=2.5", "a whole number"),
    "optim=gd batch_size=32": ("batch_size=32", "optim=sgd"),
    "optim.lr=fast": ("optimizer.lr=fast", "a number", "optimizer.lr=0.001"),
    "optim.lr=-1": ("optimizer.lr=-1", ">= 0"),
    "optim.lr=": ("optimizer.lr=", "a number"),
    "optim.lr=nan": ("optimizer.lr=nan", "finite"),
    "optim.lr=true": ("optimizer.lr=True", "a number"),
    "optim.betas=[0.9,2]": ("optimizer.betas",),
    "model.hidden=wide": ("model.hidden=wide", "a list, each a whole number"),
    "model.hidden=[64,-3]": ("model.hidden", "-3"),
    "model.activation=rellu": ("model.activation=rellu", "did you mean relu?"),
    "model._target_=nowhere.Net": ("model._target_=nowhere.Net", "cannot be imported"),
    "model._target_=dlrun.models.mlp": ("model._target_=dlrun.models.mlp", "not callable"),
    "model._target_=math.pi": ("model._target_=math.pi", "dlrun, torch.nn", "--trust"),
    "optim._target_=os.system": ("optimizer._target_=os.system", "dlrun, torch.nn", "--trust"),
    "dataset._target_=dlrun.cli.os.system": ("leads to os", "dlrun, torch.nn", "--trust"),
    "+model.layers=[{_target_:torch.hub.load}]": ("model.layers.0._target_=torch.hub.load",),
    "model._target_=torch.nn.ReLU": ("does not take in_shape and out_features",),
    "model._partial_=false": ("model._partial_: expected true (dlrun itself makes the call)",),
    "regularization.dropout=1.5": ("regularization.dropout=1.5", "< 1", "0.5"),
    "regularization.l1=-1": ("regularization.l1=-1", ">= 0"),
    "regularization.dropout=inf": ("regularization.dropout=inf", "finite"),
    "stopping=target stopping.target_value=nan": ("stopping.target_value=nan", "finite"),
    "regularization=batch_norm batch_size=1": ("batch_size=1", "batch_size=32"),
    "model=linear regularization=dropout": ("model=linear does not use it", "model=mlp"),
    "dataset=digits model=torchvision regularization=batch_norm": (
        "model=torchvision does not use it",
    ),
    "optim=lbfgs regularization=l2": ("regularization.weight_decay", "LBFGS"),
    "optim=lbfgs regularization=grad_clip": ("regularization.max_grad_norm", "lbfgs"),
    "loss=hinge regularization=label_smoothing": ("regularization.label_smoothing", "hinge"),
    "regularization=early_stopping dataset.val_fraction=0": ("dataset.val_fraction=0",),
    "loss=bce": ("loss.name=bce", "10 classes", "loss=cross_entropy"),
    "dataset=boston loss=cross_entropy": ("loss.name=cross_entropy", "loss=mse"),
    "dataset=moons loss=mae": ("loss.name=mae", "loss=bce"),
    "dataset=boston model=cnn": ("model=cnn", "13 features", "model=mlp"),
    "dataset=boston regularization=augment": ("regularization=augment", "expected images"),
    "dataset=boston monitor=accuracy/val": ("monitor=accuracy/val", "loss/val"),
    "stopping=target stopping.target_metric=acuracy/val": (
        "stopping.target_metric=acuracy/val",
        "did you mean accuracy/val?",
    ),
    "stopping.target_value=0.9": ("stopping.target_metric", "accuracy/val"),
    "dataset=surface": ("model=mlp: dataset=surface trains a point", "model=point"),
    "model=point": ("dataset=mnist5k: model=point is made for test functions", "dataset=surface"),
    "dataset=surface model=point model.start=[1]": ("model.start=[1]", "expected 2 numbers"),
    "dataset=surface model=point diagnostics=gradients": ("diagnostics=gradients", "=none"),
    "baselines=[pca]": ("baselines=[pca]: expected constant, linear, knn", "multiclass"),
    "model=autoencoder baselines=[linear]": ("baselines=[linear]: expected pca", "[pca]"),
    "model=autoencoder regularization=augment": ("regularization=augment", "leave augment out"),
    "model=autoencoder loss=cross_entropy": ("loss.name=cross_entropy", "mse, mae or huber"),
    "model=autoencoder model.latent_dim=0": ("model.latent_dim=0", "latent_dim=2"),
    "model=deep_mlp model.depth=0": ("model.depth=0", "model.depth=10"),
    "optim=nelder_mead": ("optimizer=nelder_mead", "203,530"),
    "optim=cma_es batch_size=16 dataset=moons": ("batch_size=16: optimizer=cma_es", "=full"),
    "optim=cma_es diagnostics=gradients dataset=moons": (
        "diagnostics.gradients=true: optimizer=cma_es has no gradient",
    ),
    "dataset.val_fraction=1.2": ("dataset.val_fraction=1.2", "0.1"),
    "dataset.val_fraction=0.6 dataset.test_fraction=0.6": ("fraction",),
    "dataset.limit=0": ("dataset.limit=0", ">= 1"),
    "dataset=moons dataset.noise=-1": ("dataset.noise=-1", ">= 0"),
    "device=cuda device.name=cuda:99": ("device.name=cuda:99", "device=cpu"),
    "device.precision=fp8": ("device.precision=fp8", "fp32, bf16, fp16"),
    "device.threads=0": ("device.threads=0", ">= 1"),
    "device.threads=1000": ("device.threads=1000", "<= 512"),
    "model=point.yaml": ("dataset=mnist5k: model=point is made for test functions",),
    "optim=gd.yaml batch_size=64": ("batch_size=64: optimizer=gd", "optim=sgd"),
    "data_dir=/nowhere dataset=mnist": ("dataset=mnist", "dataset=mnist5k"),
    "dataset=csv": ("dataset.path", "needs a value"),
    "dataset=csv dataset.path=absent.csv": ("dataset.path=absent.csv",),
    "dataset=image_folder dataset.path=absent": ("dataset.path=absent",),
    "model=torchvision model.name=resnet1": ("model.name=resnet1", "did you mean resnet"),
    "data_dir=${nope}": ("nope",),
    "data_dir=${oc.env:NO_SUCH_VARIABLE}": ("NO_SUCH_VARIABLE",),
    "trian model=mlp": ("trian", "did you mean train?"),
    "model=mlp optim adam": ("optim", "key=value"),
    "model.hidden=[1,2": ("model.hidden=[1,2",),
    "--config-dir=absent": ("--config-dir=absent", "no such directory"),
    "--config-name=absent": ("--config-name=absent",),
    "--config-path=absent": ("--config-path=absent", "no such directory"),
    "--colour": ("--colour", "dlrun --help"),
    "--cfg everything": ("everything", "job"),
    "--experimental-rerun=run.pkl": ("--experimental-rerun", "pickle"),
    "doctor everything": ("doctor", "takes no arguments"),
    "hydra.run.dir=/proc/nothing/here": ("hydra.run.dir", "cannot be made"),
    "~model": ("model", "model=mlp"),
}


def assert_short_error(done: object, fragments: tuple[str, ...]) -> None:
    """Exit code 2, one to three lines on standard error that hold the fragments."""
    output = done.stderr  # type: ignore[attr-defined]
    assert done.returncode == 2, output + done.stdout  # type: ignore[attr-defined]
    lines = output.strip().splitlines()
    assert 1 <= len(lines) <= 3, output
    assert output.startswith("error: ")
    assert "Traceback" not in output
    for fragment in fragments:
        assert fragment in output


def assert_no_run_but_failed(folder: Path) -> None:
    """Nothing was left behind, or the record of a failed run where one had begun."""
    summaries = list(folder.rglob("summary.json"))
    assert len(summaries) <= 1
    for summary in summaries:
        assert '"status": "failed"' in summary.read_text()
    assert summaries or not (folder / "outputs").exists()


def test_the_list_is_long_enough() -> None:
    assert len(BAD_WORDS) + len(BAD_FILES) >= 40


@pytest.mark.parametrize("words", BAD_WORDS)
def test_bad_words(words: str, dlrun: Command, tmp_path: Path) -> None:
    assert_short_error(dlrun(*words.split(" ")), BAD_WORDS[words])
    assert_no_run_but_failed(tmp_path)


def _yaml(text: str | bytes) -> Callable[[Path], list[str]]:
    def prepare(folder: Path) -> list[str]:
        file = folder / "conf" / "model" / "mine.yaml"
        file.parent.mkdir(parents=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["model=mine"]

    return prepare


def _csv(text: str | bytes, *words: str) -> Callable[[Path], list[str]]:
    def prepare(folder: Path) -> list[str]:
        data = text if isinstance(text, bytes) else text.encode()
        (folder / "table.csv").write_bytes(data)
        return ["dataset=csv", "dataset.path=table.csv", *words]

    return prepare


def _images(**folders: int) -> Callable[[Path], list[str]]:
    def prepare(folder: Path) -> list[str]:
        for name, count in folders.items():
            (folder / "photos" / name).mkdir(parents=True)
            for index in range(count):
                Image.new("L", (8, 8), index).save(folder / "photos" / name / f"{index}.png")
        return ["dataset=image_folder", "dataset.path=photos"]

    return prepare


def _unreadable_images(folder: Path) -> list[str]:
    words = _images(a=0, b=0)(folder)
    for name in "ab":
        for index in range(4):
            (folder / "photos" / name / f"{index}.png").write_bytes(b"not a picture")
    return words


def _shadow(folder: Path) -> list[str]:
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "mlp.yaml").write_text("hidden: [1]\n")
    return ["model=mlp"]


def _taken(folder: Path) -> list[str]:
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.txt").write_text("do not lose me")
    return ["hydra.run.dir=taken"]


def _own_model(body: str) -> Callable[[Path], list[str]]:
    def prepare(folder: Path) -> list[str]:
        (folder / "own.py").write_text(body)
        return _yaml("_target_: own.Net\n_partial_: true\n")(folder)

    return prepare


CHANGES_INPUTS = (
    "import torch\n"
    "class Net(torch.nn.Module):\n"
    "    def __init__(self, in_shape, out_features):\n"
    "        super().__init__()\n"
    "        self.layer = torch.nn.Linear(784, out_features)\n"
    "    def forward(self, x):\n"
    "        return self.layer(x.relu_().flatten(1))\n"
)
ROWS = "".join(f"{i},{i % 7},{i * 0.37:.2f}\n" for i in range(40))

BAD_FILES: dict[str, tuple[Callable[[Path], list[str]], tuple[str, ...]]] = {
    "yaml not closed": (_yaml("hidden: [1, 2\n"), ("mine.yaml", "line")),
    "yaml with a key twice": (_yaml("a: 1\na: 2\n"), ("mine.yaml", "a")),
    "yaml that is binary": (_yaml(b"\x89PNG\r\n\x1a\n\xff\xfe"), ("mine.yaml",)),
    "yaml with a python tag": (_yaml("a: !!python/object:os.system {}\n"), ("mine.yaml",)),
    "yaml without _target_": (_yaml("hidden: [1]\n"), ("model._target_", "mypackage.Net")),
    "yaml without _partial_": (
        _yaml("_target_: dlrun.models.mlp.MLP\nhidden: [1]\n"),
        ("model._partial_: expected true (dlrun itself makes the call)",),
    ),
    "yaml that is a list": (_yaml("- 1\n- 2\n"), ("mine.yaml",)),
    "config that hides a packaged one": (_shadow, ("mlp", "my_mlp.yaml")),
    "run directory in use": (_taken, ("hydra.run.dir=taken", "never writes over")),
    "csv text where numbers belong": (_csv("a,b,y\n1,x,0.5\n" + ROWS), ("b", "x")),
    "csv missing values": (_csv("a,b,y\n1,,0.5\n" + ROWS), ("dataset.missing=drop",)),
    "csv target unknown": (
        _csv("a,b,price\n" + ROWS, "dataset.target=prize"),
        ("dataset.target=prize", "did you mean price?"),
    ),
    "csv empty": (_csv(""), ("table.csv", "empty")),
    "csv only a header": (_csv("a,b,y\n"), ("table.csv",)),
    "csv one class": (
        _csv("a,b,y\n" + "".join(f"{i},1,cat\n" for i in range(40))),
        ("one class",),
    ),
    "csv not utf-8": (_csv(b"a,b,y\n1,2,\xff\xfe\n"), ("table.csv", "encoding")),
    "csv unknown task": (
        _csv("a,b,y\n" + ROWS, "dataset.task=regresion"),
        ("dataset.task=regresion", "did you mean regression?"),
    ),
    "images of one class": (_images(cats=12), ("one class", "photos")),
    "images none": (_images(cats=0, dogs=0), ("photos",)),
    "images unreadable": (_unreadable_images, ("photos",)),
    "model that changes its inputs": (_own_model(CHANGES_INPUTS), ("in place", "inplace=False")),
    "model with wrong output": (
        _own_model(
            "import torch\n"
            "class Net(torch.nn.Module):\n"
            "    def __init__(self, in_shape, out_features):\n"
            "        super().__init__()\n"
            "        self.layer = torch.nn.Linear(784, 3)\n"
            "    def forward(self, x):\n"
            "        return self.layer(x.flatten(1))\n"
        ),
        ("(2, 3)", "(2, 10)", "out_features=10"),
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(name: str, dlrun: Command, tmp_path: Path) -> None:
    prepare, fragments = BAD_FILES[name]
    assert_short_error(dlrun(*prepare(tmp_path)), fragments)
    assert_no_run_but_failed(tmp_path)
    if name == "run directory in use":
        assert (tmp_path / "taken" / "thesis.txt").read_text() == "do not lose me"


def test_all_faults_come_together(dlrun: Command) -> None:
    done = dlrun("epochs=-1", "regularization.l1=-1", "optim.lr=fast")
    assert done.returncode == 2
    for key in ("epochs=-1", "regularization.l1=-1.0", "optimizer.lr=fast"):
        assert key in done.stderr


def test_an_error_in_own_code_names_its_line(dlrun: Command, tmp_path: Path) -> None:
    prepare = _own_model(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, in_shape, out_features):\n"
        "        raise RuntimeError('out of ideas')\n"
    )
    done = dlrun(*prepare(tmp_path))
    assert done.returncode == 1
    assert "own.py:4: RuntimeError: out of ideas" in done.stderr
    assert "Traceback" not in done.stderr
    traceback = dlrun("model=mine", "debug.traceback=true")
    assert "Traceback" in traceback.stderr
