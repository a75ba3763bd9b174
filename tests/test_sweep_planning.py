"""From words and presets to jobs: configs as Hydra composes them, all faults before anything."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from hydra._internal.hydra import Hydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dlrun import schema
from dlrun.cli import command_line
from dlrun.errors import UserError
from dlrun.hydra_session import chosen, hydra_session, packaged_conf, without_hydra
from dlrun.overrides import spell_out
from dlrun.sweeps.compose import Composer, fault_report
from dlrun.sweeps.plan import digest
from dlrun.sweeps.planning import Planned, sweeper_settings, with_typed
from dlrun.sweeps.points import points
from dlrun.sweeps.sweep import compose_sweep, plan_sweep

LR = "optimizer.lr=0.1"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hydra]:
    """A Hydra with an experiment, a preset and a model of the user's own beside what dlrun has."""
    own = tmp_path_factory.mktemp("own")
    files = {
        "experiment/lesson": "# @package _global_\ndefaults:\n  - override /model: linear\n"
        "  - override /regularization: l2\nepochs: 7\noptimizer:\n  lr: 0.25\n",
        "sweep/mine": "# @package _global_\nepochs: 3\nhydra:\n  mode: MULTIRUN\n  sweeper:\n"
        "    cases:\n      - {optim: momentum, optim.momentum: '0.5,0.9'}\n      - optim: adam\n"
        "    params:\n      optim:\n        lr: 0.1,0.01\n      seed: range(2)\n",
        "model/mine": "_target_: dlrun.models.mlp.MLP\n_partial_: true\nhidden:\n- ${batch_size}\n"
        "- ${oc.select:epochs,1}\nactivation: relu\ninit: torch\ndropout: 0\nbatch_norm: false\n",
    }
    for name, text in files.items():
        (own / f"{name}.yaml").parent.mkdir(exist_ok=True)
        (own / f"{name}.yaml").write_text(text)
    with hydra_session(config_dir=str(own)) as app:
        yield app


@pytest.fixture
def composer(app: Hydra) -> Composer:
    return Composer(app, "config", "own")


def composed_by_hydra(app: Hydra, words: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the choices of a single run with these words."""
    config = app.compose_config("config", list(words), RunMode.RUN, with_log_configuration=False)
    return plain(without_hydra(config)), chosen(config.hydra)


def plain(config: DictConfig) -> dict[str, Any]:
    content = OmegaConf.to_container(config, resolve=True)
    assert isinstance(content, dict)
    return content


def planned(app: Hydra, *typed: str) -> Planned:
    """The sweep that `dlrun -m TYPED` would begin."""
    return plan_sweep(app, "config", [spell_out(word) for word in typed], "own")[2]


def jobs(app: Hydra, *typed: str) -> list[str]:
    """What is swept of each job, as one line."""
    return lines([job.values for job in planned(app, *typed).plan.jobs])


def rows(app: Hydra, *typed: str) -> list[str]:
    """What is swept of each point, as one line; nothing is composed for it."""
    words = [spell_out(word) for word in typed]
    settings = sweeper_settings(compose_sweep(app, "config", words))
    sweeper, _ = with_typed(settings, words, app.config_loader)
    return lines(points(sweeper.params, sweeper.cases, sweeper.zipped, app.config_loader))


def lines(values: Sequence[dict[str, str]]) -> list[str]:
    return [" ".join(f"{key}={value}" for key, value in one.items()) for one in values]


WORDS: list[list[str]] = [
    [],
    [LR],
    ["optimizer=sgd", LR],
    [LR, "optimizer=sgd"],
    ["optimizer=momentum", "optimizer.momentum=0.5", "optimizer.lr=1e-3", "seed=3"],
    ["regularization=[dropout,l1]", "regularization.l1=0.25"],
    ["regularization=l2", "regularization.weight_decay=null"],
    ["model=mlp", "model.hidden=[8,8]", "model.activation=tanh"],
    ["model.hidden=[]", "batch_size=full"],
    ["model=mine", "batch_size=5", "epochs=2"],
    ["batch_size=5", "model=mine", "batch_size=6"],
    ["experiment=lesson"],
    ["epochs=1", "experiment=lesson", "optimizer.lr=0.5"],
    ["experiment=lesson", "model=mlp", "regularization=none"],
    ["sweep=mine", "epochs=1"],
    ["+optimizer.foreach=false", LR],
    [LR, "+optimizer.foreach=false"],
    ["++optimizer.lr=0.5", LR],
    [LR, "++optimizer.lr=0.5"],
    [LR, "++optimizer.lr=0.5", "optimizer.lr=0.125"],
    [LR, "~optimizer.lr"],
    ["seed=1", "~optimizer.lr=0.001", "epochs=2"],
    ["+model.extra={a:1,b:{c:2}}", "model.extra.b.c=3"],
    ["optimizer.betas=[0.8,0.99]", "optimizer.eps=1e-6", "optimizer.amsgrad=true"],
    ["data_dir='a, b'", "data_dir=null", "quiet=true"],
    ["data_dir=${oc.env:HOME}", "seed=2"],
    ["log_every_steps=${batch_size}", "batch_size=7"],
    ["optimizer.lr='${oc.decode:\"0.5\"}'"],
    ["data_dir=''", "monitor=loss/val"],
    ["device=cpu", "device.threads=2", "scheduler=cosine", "scheduler.end_factor=0.5"],
    ["stopping=[target,time]", "stopping.target_value=0.5"],
    ["debug=fast_dev_run", "debug.max_batches=3"],
    ["dataset=moons", "dataset.noise=0.5", "dataset.val_fraction=0.25"],
    ["hydra.job.name=x", LR, "hydra/job_logging=disabled"],
    [LR, "hydra.job.name=x"],
    ["seed=1", "seed=2", "seed=1"],
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_config_is_what_hydra_composes(words: list[str], app: Hydra, composer: Composer) -> None:
    expected, choices = composed_by_hydra(app, words)
    for _ in range(2):  # the second time from what the first one has kept
        composed = composer.compose(words)
        assert plain(composed.config) == expected
        assert list(plain(composed.config)) == list(expected)
        assert {group: composed.choices.get(group) for group in schema.GROUPS} == {
            group: choices.get(group) for group in schema.GROUPS
        }


def test_one_composer_for_many_words_mixes_nothing_up(app: Hydra, composer: Composer) -> None:
    choices = (["optimizer=sgd"], ["optimizer=momentum", "regularization=[dropout,l1]"])
    values = (
        ["optimizer.lr=0.5", "batch_size=8"],
        ["batch_size=8", "++optimizer.lr=0.5"],
        ["optimizer.lr=${regularization.l1}"],
        ["model.hidden=[4]", "epochs=5", "model.hidden=[5]"],
        ["model.hidden=[4]", "~model.init"],
    )
    found: dict[str, dict[str, Any]] = {}
    for chosen_ones, more in itertools.product(choices, values):
        words = [*more, *chosen_ones]
        config = composer.compose(words).config
        expected, _ = composed_by_hydra(app, words)
        assert plain(config) == expected, words
        found.setdefault(digest(config), expected)
    assert len(found) == 8  # the first two lists of values come to the same
    assert all(a != b for a, b in itertools.combinations(found.values(), 2))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["optimizer=adma"], ["optimizer=adma", "did you mean adam?"]),
        (["optimizer.momentum=0.9"], ["optimizer.momentum: no such key"]),
        (["optimizer.lr=0.5", "+optimizer.lr=0.1"], ["+optimizer.lr=0.1: there already"]),
        (["~optimizer.lr", LR], ["optimizer.lr: no such key"]),
        (["seed=one", "epochs=two"], ["seed=one: ", "epochs=two: "]),
        (
            ["optimizer.momentum=0.9", "batch_size=0", "seed=one"],
            ["optimizer.momentum: no such key", "batch_size=0: ", "seed=one: "],
        ),
    ],
)
def test_faults_of_one_config(words: list[str], expected: list[str], composer: Composer) -> None:
    for _ in range(2):
        with pytest.raises(UserError) as error:
            composer.checked(words)
        lines = str(error.value).splitlines()
        assert len(lines) == max(1, len([text for text in expected if ": " in text]))
        for text in expected:
            assert text in str(error.value)


def test_a_fault_does_not_stick_to_other_words(composer: Composer) -> None:
    with pytest.raises(UserError, match="no such key"):
        composer.checked(["optimizer=sgd", "optimizer.momentum=0.9"])
    composer.checked(["optimizer=momentum", "optimizer.momentum=0.9"])
    composer.checked(["optimizer=sgd"])


def test_digests_differ_where_configs_do(composer: Composer) -> None:
    def of(*words: str) -> str:
        return digest(composer.compose(words).config)

    assert of(LR) == of("optimizer.lr=1e-1") == of("seed=4", LR, "seed=0")
    assert of("batch_size=5", "log_every_steps=${batch_size}") == of(
        "log_every_steps=5", "batch_size=5"
    )
    different = [of(), of(LR), of("seed=1"), of("optimizer=sgd"), of("data_dir='0'"), of("quiet=1")]
    assert len(set(different)) == len(different)


def test_digests_know_the_types_of_values_and_keys() -> None:
    values: list[Any] = [{"a": v} for v in (1, "1", True, None, "null", [1], ["1"], {"1": 1})]
    values += [{"a": {1: 1}}, {"a": {1: 1, "1": 2}}, {"a": {"1": {}}}, {"a": []}, {"a": {}}]
    found = [digest(OmegaConf.create(value)) for value in values]
    assert len(set(found)) == len(values)
    assert digest(OmegaConf.create({"b": 1, "a": {"d": 1, "c": [2]}})) == digest(
        OmegaConf.create({"a": {"c": [2], "d": 1}, "b": 1})
    )
    assert digest(OmegaConf.create({"a": [1, 2]})) != digest(OmegaConf.create({"a": [2, 1]}))


def test_points_of_one_config_run_once(app: Hydra) -> None:
    plan = planned(app, "optim.lr=0.01,1e-2,0.1,0.010")
    assert [job.values for job in plan.plan.jobs] == [
        {"optimizer.lr": "0.01"},
        {"optimizer.lr": "0.1"},
    ]
    assert plan.num_same == 2
    assert [job.number for job in plan.plan.jobs] == [0, 1]


def test_jobs_have_all_that_makes_their_config(app: Hydra) -> None:
    plan = planned(app, "optim=sgd,adam", "epochs=3", "figures=true").plan
    assert [job.overrides for job in plan.jobs] == [
        ["epochs=3", "figures=true", "optimizer=sgd"],
        ["epochs=3", "figures=true", "optimizer=adam"],
    ]
    assert plan.words == ["epochs=3", "figures=true"]
    assert [job.folder for job in plan.jobs] == ["0000-optimizer=sgd", "0001-optimizer=adam"]
    expected, _ = composed_by_hydra(app, plan.jobs[1].overrides)
    assert plan.jobs[1].digest == digest(OmegaConf.create(expected))


def test_single_jobs_draw_no_figures_unless_asked_to(app: Hydra) -> None:
    assert planned(app, "seed=0,1").plan.words == ["figures=false"]
    assert planned(app, "seed=0,1", "figures=true").plan.words == ["figures=true"]
    assert jobs(app, "figures=true,false") == ["figures=True", "figures=False"]


PRESET = [
    f"optimizer={optimizer} optimizer.lr={lr} seed={seed}"
    for optimizer in ("momentum optimizer.momentum=0.5", "momentum optimizer.momentum=0.9", "adam")
    for lr in ("0.1", "0.01")
    for seed in ("0", "1")
]


def test_a_preset(app: Hydra) -> None:
    assert jobs(app, "sweep=mine") == PRESET
    plan = planned(app, "sweep=mine").plan
    assert plan.name == "mine"
    assert all("sweep=mine" in job.overrides for job in plan.jobs)
    config, _ = composed_by_hydra(app, plan.jobs[0].overrides)
    assert config["epochs"] == 3  # what the preset says of all runs


LRS_AND_SEEDS = [f"optimizer.lr={lr} seed={seed}" for lr in ("0.1", "0.01") for seed in (0, 1)]
WITHOUT_LR = [line.replace("optimizer.lr=0.1 ", "") for line in PRESET if "=0.1 " in line]
TYPED: dict[str, list[str]] = {
    # typed behind the preset: its jobs then
    "epochs=5": PRESET,
    "seed=5": [line.removesuffix(" seed=0") for line in PRESET[::2]],
    "seed=5,6": [line.replace("d=0", "d=5").replace("d=1", "d=6") for line in PRESET],
    "optim.lr=0.5": WITHOUT_LR,
    "++optim.lr=0.5": WITHOUT_LR,
    "optim.lr=0.5,0.25": [
        line.replace("=0.1 ", "=0.5 ").replace("=0.01 ", "=0.25 ") for line in PRESET
    ],
    "optim=momentum optim.momentum=0.25": LRS_AND_SEEDS,
    "optim.momentum=0.25,0.5 optim=momentum": [
        f"{rest} optimizer.momentum={beta}" for rest in LRS_AND_SEEDS for beta in ("0.25", "0.5")
    ],
}


@pytest.mark.parametrize("typed", TYPED)
def test_what_is_typed_takes_the_place_of_a_preset(typed: str, app: Hydra) -> None:
    assert rows(app, "sweep=mine", *typed.split(" ")) == TYPED[typed]


def test_a_fixed_value_that_only_the_swept_choices_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["optim=momentum,nesterov", "optim.momentum=0.5", "dry_run=true"]
    code = command_line(["-m", *words])
    output = capsys.readouterr()
    assert code == 0, output.err
    assert output.out.splitlines() == [
        "   0  optimizer=momentum",
        "   1  optimizer=nesterov",
        "2 jobs, none was started",
    ]
    assert command_line(["-m", *words, "optim=momentum,adam"]) == 2
    assert "job 1: optimizer.momentum: no such key" in capsys.readouterr().err


def test_the_same_words_twice(app: Hydra) -> None:
    assert rows(app, "optim.lr=0.1,0.2", "optim.lr=0.3,0.4") == [
        "optimizer.lr=0.3",
        "optimizer.lr=0.4",
    ]
    assert rows(app, "optim.lr=0.1,0.2", "optim.lr=0.3") == [""]
    assert planned(app, "optim.lr=0.1,0.2", "++optim.lr=0.3").plan.jobs[0].overrides == [
        "figures=false",
        "++optimizer.lr=0.3",
    ]
    assert rows(app, "optim.lr=0.3", "optim.lr=0.1,0.2") == ["optimizer.lr=0.1", "optimizer.lr=0.2"]


def settings(app: Hydra, *typed: str) -> schema.Sweeper:
    return sweeper_settings(compose_sweep(app, "config", list(typed)))


@pytest.mark.parametrize(
    "word",
    [
        "+hydra.sweeper.params={optimizer.lr:[0.1,1]}",
        "+hydra.sweeper.params={optim.lr:[0.1,1]}",
        "+hydra.sweeper.params={optim:{lr:[0.1,1]}}",
        "+hydra.sweeper.params.optim.lr=[0.1,1]",
    ],
)
def test_keys_of_params_short_and_nested(word: str, app: Hydra) -> None:
    assert settings(app, word).params == {"optimizer.lr": [0.1, 1]}
    assert rows(app, word) == ["optimizer.lr=0.1", "optimizer.lr=1"]
    assert rows(app, word, "optim.lr=0.5") == [""]


def test_keys_of_cases_and_zipped_short_and_nested(app: Hydra) -> None:
    cases = "hydra.sweeper.cases=[{optim:adam},{optim:momentum,optim.momentum:[0.5,0.9]},{}]"
    assert rows(app, cases, "optim.lr=0.1,0.2") == [
        "optimizer=adam optimizer.lr=0.1",
        "optimizer=adam optimizer.lr=0.2",
        "optimizer=momentum optimizer.momentum=0.5 optimizer.lr=0.1",
        "optimizer=momentum optimizer.momentum=0.5 optimizer.lr=0.2",
        "optimizer=momentum optimizer.momentum=0.9 optimizer.lr=0.1",
        "optimizer=momentum optimizer.momentum=0.9 optimizer.lr=0.2",
        "optimizer.lr=0.1",
        "optimizer.lr=0.2",
    ]
    # Adam is what a run has anyway: the empty case composes to the same configs.
    assert planned(app, cases, "optim.lr=0.1,0.2").num_same == 2
    zipped = "hydra.sweeper.zipped=[{batch_size:[16,32],optim:{lr:[0.1,0.2]}}]"
    assert rows(app, zipped) == [
        "batch_size=16 optimizer.lr=0.1",
        "batch_size=32 optimizer.lr=0.2",
    ]
    assert rows(app, zipped, "optim.lr=0.5") == ["batch_size=16", "batch_size=32"]
    assert rows(app, zipped, "batch_size=8", "optim.lr=0.5") == [""]


def test_cases_of_momentum_and_adam_make_12_rows(app: Hydra) -> None:
    cases = "hydra.sweeper.cases=[{optim:momentum,optim.momentum:[0.5,0.9,0.99]},{optim:adam}]"
    found = rows(app, cases, "optim.lr=0.1,0.03,0.01")
    assert len(found) == 3 * 3 + 3
    assert len([line for line in found if "momentum=" in line]) == 9


def test_values_with_commas_and_brackets_reach_the_config(app: Hydra) -> None:
    plan = planned(app, "data_dir='a,b',\"c d\",null", "model.hidden=[],[4,5]").plan
    configs = [composed_by_hydra(app, job.overrides)[0] for job in plan.jobs]
    found = [(config["data_dir"], config["model"]["hidden"]) for config in configs]
    names = ["a,b", "c d", None]
    assert found == [(name, hidden) for name in names for hidden in ([], [4, 5])]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("log_every_steps=${epochs}", [(1, 1), (2, 2)]),
        ("log_every_steps=${epochs},5", [(1, 1), (2, 2), (5, 1), (5, 2)]),
    ],
)
def test_references_are_those_of_each_job(typed: str, expected: list[tuple[int, int]]) -> None:
    words = ["epochs=1,2", "dataset=moons", "-q", "hydra.sweep.dir=s"]
    assert command_line(["-m", typed, *words]) == 0
    configs = [OmegaConf.load(file) for file in sorted(Path("s").glob("*/.hydra/config.yaml"))]
    assert [(c.log_every_steps, c.epochs) for c in configs] == expected
    assert command_line(["resume", "--trust", "s", "-q"]) == 0


def test_a_glob_of_a_group(app: Hydra) -> None:
    assert jobs(app, "model=glob(*,exclude=[torchvision,mine,point,pca,deep*,*encoder])") == [
        "model=cnn",
        "model=linear",
        "model=mlp",
    ]
    with pytest.raises(UserError) as error:
        jobs(app, "optim=glob(*gd)", "batch_size=32")
    assert str(error.value).splitlines() == [
        "job 0: batch_size=32: optimizer=gd is gradient descent on the full batch "
        "(for mini-batches type optim=sgd)",
        "nothing was started: 1 of 2 jobs cannot run",
    ]


def test_faults_of_all_jobs_come_together(app: Hydra) -> None:
    with pytest.raises(UserError) as error:
        jobs(app, "optim=sgd,adam", "optim.momentum=0,0.9", "batch_size=0,32")
    assert str(error.value).splitlines() == [
        "jobs 0, 1, 2, 3: optimizer.momentum: no such key; there are lr",
        "jobs 0, 2, 4, 6: batch_size=0: expected a whole number >= 1 or full "
        "(for example batch_size=64)",
        "jobs 4, 5, 6, 7: optimizer.momentum: no such key; there are lr, betas, eps, amsgrad",
        "nothing was started: 8 of 8 jobs cannot run",
    ]


def test_a_report_of_faults_is_short() -> None:
    faults = {k: UserError("a: bad\n(type b)\nc: bad") for k in range(9)}
    faults[3] = UserError("c: bad")
    assert fault_report(faults, 20).splitlines() == [
        "jobs 0, 1, 2, 4, 5, …: a: bad",
        "(type b)",
        "jobs 0, 1, 2, 3, 4, …: c: bad",
        "nothing was started: 9 of 20 jobs cannot run",
    ]
    assert fault_report({0: UserError("x")}, 1).splitlines() == [
        "x",
        "nothing was started: 1 of 1 jobs cannot run",
    ]
    assert fault_report({7: UserError("x")}, 9).splitlines()[0] == "job 7: x"


def test_a_search_tells_what_two_of_its_values_cannot_do_together(app: Hydra) -> None:
    words = ["search=random", "model=mlp,linear", "regularization=dropout,none", "seed=0,1"]
    with pytest.raises(UserError) as error:
        planned(app, *words)
    assert "regularization.dropout=0.5: model=linear does not use it" in str(error.value)
    assert "model=linear regularization=dropout cannot run" in str(error.value)
    for ends in ("interval(-1,0.5)", "interval(0.1,1e39)"):
        with pytest.raises(UserError, match="optimizer.lr="):
            planned(app, "search=tpe", f"optim.lr={ends}")
    assert planned(app, "search=tpe", "optim.lr=tag(log,interval(1e-4,1))").plan.jobs == []


def test_packaged_presets_have_as_many_points_as_their_heads_say(app: Hydra) -> None:
    found = {}
    for file in sorted((packaged_conf() / "sweep").glob("*.yaml")):
        sweeper = settings(app, f"sweep={file.stem}")
        if sweeper.search == "grid":
            found[file.stem] = len(points(sweeper.params, sweeper.cases, sweeper.zipped))
        assert file.read_text().startswith("# @package _global_\n# ")
        assert "\n# Question: " in file.read_text()
    assert len(found) >= 5
    assert found["momentum_vs_adam"] == 7 * 3 * (2 + 1) * 3
    assert found["learning_rate"] == 9 * 3 * 3


def test_folders_of_jobs(app: Hydra) -> None:
    numbered = planned(app, "seed=0,1", "hydra.sweep.subdir='${hydra.job.num}'").plan
    assert [job.folder for job in numbered.jobs] == ["0", "1"]
    long = planned(app, "model.hidden=[4]," + str([5] * 99), f"data_dir='{'ö' * 150}','a/b'").plan
    folders = [job.folder for job in long.jobs]
    assert len(set(folders)) == 4
    assert all(len(folder.encode()) <= 105 and "/" not in folder for folder in folders)
    assert folders[1] == "0001-model.hidden=_4_,data_dir=_a_b_"


def test_dry_run_lists_the_jobs_and_makes_nothing(dlrun: Command, tmp_path: Path) -> None:
    done = dlrun("-m", "optim=sgd,adam", "optim.lr=0.1,0.10,0.01", "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "   0  optimizer=sgd optimizer.lr=0.1",
        "   1  optimizer=sgd optimizer.lr=0.01",
        "   2  optimizer=adam optimizer.lr=0.1",
        "   3  optimizer=adam optimizer.lr=0.01",
        "4 jobs (2 more have the config of another), none was started",
    ]
    assert list(tmp_path.iterdir()) == []
    search = dlrun(
        "search=tpe", "optim.lr=interval(0.1,1)", "n_trials=7", "seed=range(3)", "dry_run=true"
    )
    assert search.stdout == "7 trials of 3 seeds, search=tpe\n"
    assert list(tmp_path.iterdir()) == []
