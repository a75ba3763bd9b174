"""Completion: what is offered, how it reaches each shell, and how it gets in and out of one."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dlrun import schema
from dlrun.cli import command_line
from dlrun.completion.answer import answer
from dlrun.completion.command import completion
from dlrun.completion.configs import choices, conf_folders, groups
from dlrun.completion.flags import KINDS, NONE, WORDS
from dlrun.completion.install import MARK, SHELLS, script
from dlrun.completion.line import Candidate, in_quotes, split_line
from dlrun.completion.names import run_paths
from dlrun.completion.overrides import node_at
from dlrun.completion.settings import Setting, schema_tree, settings
from dlrun.doctor import doctor
from dlrun.errors import UserError
from dlrun.launcher_settings import LAUNCHERS
from dlrun.runs.find import find_run, run_folders
from dlrun.verbs import VERBS

DAY = Path("outputs/runs/2026-11-22")
# Names of runs that a shell could take for something else. Each touches a file if it is run.
ODD = (
    *("a b 'c' \"d\"", "e$(touch ran)", "f`touch ran`", "g;touch ran", "h\\i:j", "k!l", "*?[m]"),
    *("percent%F{red}", "-n", "~root", "o=p", "q&r|s<t>", "#u", "última", "x'"),
)
HIDDEN = ("v\ntouch ran", "w\x1b[31m")  # a terminal would obey them


def candidates(line: str) -> list[Candidate]:
    """Those at the end of a line that is typed in full, `dlrun` included."""
    words, word, _ = split_line(line)
    return answer(words, word)


def texts(line: str) -> list[str]:
    return [candidate.text for candidate in candidates(line)]


def make_run(path: Path, metrics: str = "{}", begun: float = 1e9) -> Path:
    """A directory that is taken for a run."""
    (path / ".hydra").mkdir(parents=True)
    files = [path / "summary.json", path / ".hydra" / "overrides.yaml"]
    files[0].write_text(f'{{"status": "completed", "metrics": {metrics}}}')
    files[1].write_text("[]\n")
    for file in files:
        os.utime(file, (begun, begun))
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dlrun ev", ["evaluate"]),
        ("dlrun exp", ["export", "experiments", "experiment="]),
        ("dlrun opt", ["optim=", "optim."]),
        ("dlrun optimi", ["optimizer=", "optimizer."]),
        (
            "dlrun optim=ad",
            [f"optim=ad{end}" for end in ("abelief", "adelta", "agrad", "am", "amw")],
        ),
        ("dlrun model=m", ["model=mlp"]),
        ("dlrun train model=m", ["model=mlp"]),
        ("dlrun -m optim=sgd,adamw,adam", ["optim=sgd,adamw,adam"]),
        ("dlrun optim=adam,adam", ["optim=adam,adamw"]),
        (
            "dlrun 'regularization=[dropout,l",
            [f"regularization=[dropout,{r}" for r in ("l1", "l2", "label_smoothing")],
        ),
        ("dlrun regularization=[drop", ["regularization=[dropout"]),
        ("dlrun optim.l", ["optim.lr="]),
        ("dlrun optim=momentum +optimizer.m", ["+optimizer.momentum="]),
        ("dlrun optim=sgd,momentum optim.", ["optim.lr=", "optim.momentum="]),
        ("dlrun optim.betas=", ["optim.betas=[0.9,0.999]"]),
        ("dlrun experiment=mnist_cnn model.ch", ["model.channels="]),
        (
            "dlrun model=cnn model.activation=si",
            ["model.activation=sigmoid", "model.activation=silu"],
        ),
        ("dlrun model.freeze=", ["model.freeze=[]"]),
        ("dlrun ~optim.l", ["~optim.lr"]),
        ("dlrun ~reg", ["~regularization", "~regularization."]),
        ("dlrun device.compile=", ["device.compile=false", "device.compile=true"]),
        ("dlrun stopping.on_", ["stopping.on_divergence="]),
        ("dlrun stopping.on_divergence=sk", ["stopping.on_divergence=skip_batch"]),
        ("dlrun checkp", ["checkpoint."]),
        ("dlrun checkpoint.every_m", ["checkpoint.every_minutes="]),
        (
            "dlrun checkpoint.every_minutes=",
            ["checkpoint.every_minutes=null", "checkpoint.every_minutes=10"],
        ),
        ("dlrun search=t", ["search=tpe"]),
        ("dlrun hydra", ["hydra/launcher=", "hydra."]),
        ("dlrun hydra/launcher=submitit_s", ["hydra/launcher=submitit_slurm"]),
        ("dlrun hydra/launcher=local hydra.launcher.w", ["hydra.launcher.workers="]),
        ("dlrun hydra.sweeper.search=r", ["hydra.sweeper.search=random"]),
        ("dlrun --mul", ["--multirun"]),
        ("dlrun --cfg j", ["job"]),
        ("dlrun model=cnn --cfg=j", ["--cfg=job"]),
        ("dlrun export last --format on", ["onnx"]),
        ("dlrun export last --format=on", ["--format=onnx"]),
        ("dlrun evaluate last --split v", ["val"]),
        ("dlrun evaluate last dataset=mnist", ["dataset=mnist", "dataset=mnist5k"]),
        ("dlrun evaluate last --split val optim", []),
        ("dlrun rerun last optim=lb", ["optim=lbfgs"]),
        ("dlrun completion uninstall fi", ["fish"]),
        ("dlrun experiments mnist_c", ["mnist_cnn"]),
        ("dlrun doctor ", []),
        ("dlrun show last ", []),
        ("dlrun nothing=", []),
        ("dlrun optim=zzz", []),
        ("dlrun model.activation.x=", []),
    ],
)
def test_what_is_offered(line: str, expected: list[str]) -> None:
    assert texts(line) == expected


def test_a_first_word_may_be_any_verb_group_or_setting() -> None:
    found = texts("dlrun ")
    assert found[: len(VERBS)] == list(VERBS)
    assert {f"{group}=" for group in (*schema.GROUPS, "experiment", "sweep")} - set(found) == {
        "optimizer="
    }
    assert {"optim=", "seed=", "batch_size=", "dry_run="} <= set(found)
    assert not {"train", "seed"} & set(texts("dlrun seed=1 "))


@pytest.mark.parametrize(
    ("line", "behind"),
    [
        ("dlrun dataset=csv dataset.path=ho", "dataset.path="),
        ("dlrun model.init_from=", "model.init_from="),
        ("dlrun predict last ho", ""),
        ("dlrun pack last -o ", ""),
        ("dlrun show outputs/ru", ""),
        ("dlrun evaluate ", ""),
        ("dlrun unpack ", ""),
    ],
)
def test_files_are_left_to_the_shell(line: str, behind: str) -> None:
    assert candidates(line) == [Candidate("files", behind)]


def test_a_candidate_says_what_it_is() -> None:
    about = {text: about for _, text, about in candidates("dlrun optim=")}
    assert about["optim=adam"].startswith("Adam (Kingma & Ba 2015)")
    assert candidates("dlrun stopping.max_se") == [("stem", "stopping.max_seconds=", "of training")]
    assert candidates("dlrun see") == [
        ("stem", "seed=", "of split, initial weights, order, dropout")
    ]
    assert candidates("dlrun seed=") == [("word", "seed=0", "the default")]


class Parsed(Exception):
    """Raised with the parser of a verb, in place of what it would do."""


def parser_of(verb: str, monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    def stop(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise Parsed(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
    module, function = VERBS[verb]
    with pytest.raises(Parsed) as raised:
        getattr(importlib.import_module(module), function)([])
    parser: argparse.ArgumentParser = raised.value.args[0]
    return parser


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "doctor"])
def test_the_flags_of_a_verb_are_those_of_its_parser(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {
        flag: action
        for action in parser_of(verb, monkeypatch)._actions
        for flag in action.option_strings
        if flag != "--experimental-rerun"  # which is refused
    }
    told = dict(WORDS[verb].flags)
    if verb == "train":
        assert (told.pop("-q"), told.pop("--quiet")) == (NONE, NONE)  # `spell_out` takes them
    assert set(told) == set(flags)
    for flag, action in flags.items():
        assert (told[flag] == NONE) == (action.nargs == 0), flag
        if action.choices is not None:
            assert told[flag].split("|") == list(action.choices), flag


def test_each_verb_has_words_of_a_known_kind() -> None:
    assert list(WORDS) == list(VERBS)
    with pytest.raises(UserError, match="takes no arguments"):
        doctor(["--help"])
    for verb in WORDS.values():
        for kind in (*verb.words, *verb.flags.values()):
            assert kind in (*KINDS, NONE) or "|" in kind


def test_the_schema_is_read_as_it_is() -> None:
    """Its source is parsed, since importing it would take too long."""
    for module, classes in (
        ("schema", [c for c in vars(schema).values() if dataclasses.is_dataclass(c)]),
        ("launcher_settings", list(LAUNCHERS.values())),
    ):
        assert len(classes) > 4
        for made in classes:
            assert isinstance(made, type)
            tree = schema_tree(module)[made.__name__]
            for field in dataclasses.fields(made):
                node = tree[field.name]
                if not isinstance(node, Setting):
                    assert dataclasses.is_dataclass(field.default_factory) or field.name == "model"
                elif field.default not in (dataclasses.MISSING, "???"):
                    assert node.default == field.default, field.name
                    assert set(field.metadata.get("choices", ())) <= set(node.choices), field.name


def test_every_key_of_a_run_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["--cfg", "job", "dataset=csv", "model=cnn"]) == 0
    config = OmegaConf.create(capsys.readouterr().out)
    folders, words = conf_folders([]), ["dataset=csv", "model=cnn"]

    def leaves(node: object, path: str) -> Iterator[str]:
        for key in node if OmegaConf.is_dict(node) else ():  # type: ignore[attr-defined]
            if not str(key).startswith("_"):
                yield from leaves(OmegaConf.to_container(node).get(key), f"{path}.{key}")
        if isinstance(node, dict):
            for key, value in node.items():
                if not key.startswith("_"):
                    yield from leaves(value, f"{path}.{key}")
        elif not OmegaConf.is_dict(node):
            yield path[1:]

    keys = list(leaves(config, ""))
    assert len(keys) > 70
    for key in keys:
        assert isinstance(node_at(folders, words, key), Setting), key


def test_every_choice_is_offered_and_its_settings_are_read() -> None:
    folders = conf_folders([])
    count = 0
    for group in groups(folders):
        files = choices(folders, group)
        assert files, group
        assert set(texts(f"dlrun {group}=")) == {f"{group}={name}" for name in files}
        for name in files if group in schema.OPEN_GROUPS else ():
            count += 1
            assert settings(folders, [f"{group}={name}"], group), name
    assert count > 40


def test_own_configs_are_offered() -> None:
    Path("conf/optimizer/mine").mkdir(parents=True)
    Path("conf/optimizer/own.yaml").write_text("# My own.\n_target_: a.B\nspeed: 3 # in m/s\n")
    Path("conf/optimizer/mine/deep.yaml").write_text("inner: {depth: 2}\n")
    Path("conf/lab").mkdir()
    Path("conf/lab/bench.yaml").write_text("name: x\n")
    Path("more/model").mkdir(parents=True)
    Path("more/model/extra.yaml").write_text("width: 1\n")
    assert candidates("dlrun optim=o") == [("word", "optim=own", "My own.")]
    assert candidates("dlrun optim=own optim.") == [("stem", "optim.speed=", "in m/s")]
    assert texts("dlrun optim=m") == ["optim=momentum", "optim=mine/deep"]
    assert texts("dlrun optim=mine/deep optim.inner.") == ["optim.inner.depth="]
    assert texts("dlrun lab=") == ["lab=bench"]
    assert texts("dlrun -cd more model=e") == texts("dlrun --config-dir=more model=e")
    assert texts("dlrun -cd more model=e") == ["model=extra"]


def test_configs_that_are_none_are_no_hindrance() -> None:
    folder = Path("conf/optimizer")
    folder.mkdir(parents=True)
    (folder / "broken.yaml").write_bytes(b"a: [\xff\x00")
    (folder / "list.yaml").write_text("- 1\n")
    (folder / "circle.yaml").write_text("a: &a {b: *a}\nc: &c [*c]\n$(touch ran): 1\n")
    (folder / "folder.yaml").mkdir()
    (folder / "around").symlink_to(".", target_is_directory=True)
    (folder / "gone.yaml").symlink_to("nowhere")
    (folder / "b\x1b[31m.yaml").write_text("a: 1\n")
    os.mkfifo(folder / "pipe.yaml")
    Path("conf/experiment").mkdir()
    Path("conf/experiment/odd.yaml").write_text("defaults: [3, {override /model: {a: 1}}, {}]\n")
    assert [text for text in texts("dlrun optim=") if text[6:] in ("broken", "list", "circle")]
    assert not {"optim=pipe", "optim=gone", "optim=folder"} & set(texts("dlrun optim="))
    assert not [text for text in texts("dlrun optim=") if not text.isprintable()]
    for name in ("broken", "list"):
        assert texts(f"dlrun optim={name} optim.") == []
    assert texts("dlrun optim=circle optim.") == ["optim.a.", "optim.c="]
    assert texts("dlrun optim=circle optim.c=") == []
    assert texts("dlrun experiment=odd model.") == ["model.init_from=", "model.freeze="]


def test_runs_are_offered_newest_first() -> None:
    make_run(DAY / "14-03-22-mlp-adam-mnist5k-0f3a", '{"loss/val": 1.0, "accuracy/val": 0.5}')
    make_run(DAY / "09-00-00-cnn-adam-mnist5k-aaaa", '{"r2/val": 1.0}')
    sweep = Path("outputs/sweeps/race/2026-11-21_10-00-00-beef")
    make_run(sweep / "0000-optimizer.lr=0.1")
    (sweep / "sweep.yaml").write_text("")
    make_run(Path("outputs/trash/x/thrown-away"))
    runs = ["mlp-adam-mnist5k-0f3a", "cnn-adam-mnist5k-aaaa", "beef/0000"]
    assert texts("dlrun evaluate ") == ["last", *runs]
    assert texts("dlrun show ") == ["last", *runs[:2], "race/beef", "beef/0000"]
    assert candidates("dlrun diff cnn")[0] == ("word", runs[1], "2026-11-22 09:00")
    assert texts("dlrun predict 14") == ["14-03-22-mlp-adam-mnist5k-0f3a", ""]
    assert texts("dlrun report ") == [str(sweep)]
    assert texts("dlrun rm --restore ") == ["x"]
    assert texts("dlrun monitor=") == ["monitor=auto", "monitor=loss/val", "monitor=accuracy/val"]
    assert texts("dlrun ls --sort acc") == ["accuracy/val"]
    assert texts("dlrun ls --sort -a") == ["-accuracy/val"]


def test_every_name_of_a_run_is_one_that_find_run_takes() -> None:
    for name in (*ODD, *HIDDEN, "twice", "last", "10", "100"):
        make_run(DAY / name)
    make_run(Path("outputs/runs/2026-11-23/twice"))
    Path("10").write_text("a file that is called as a run is")
    found = texts("dlrun show ")
    assert found[0] == "last"
    assert {find_run(name) for name in found[1:]} == set(run_folders(Path("outputs"))) - {
        DAY / name for name in HIDDEN
    }
    assert sorted(map(Path, run_paths("outputs"))) == sorted(run_folders(Path("outputs")))


def test_of_many_runs_the_newest_are_offered_until_something_is_typed() -> None:
    for number in range(120):
        make_run(DAY / f"{number // 60:02d}-{number % 60:02d}-00-mlp-{number:04d}")
    found = texts("dlrun show ")
    assert (found[1], len(found)) == ("mlp-0119", 101)
    assert len(texts("dlrun show mlp-")) == 121  # and files


def test_damaged_runs_are_no_hindrance() -> None:
    run = make_run(DAY / "10-00-00-mlp")
    (run / "summary.json").write_text('{"metrics": 3')
    assert texts("dlrun show ") == ["last", "mlp"]
    assert texts("dlrun monitor=") == ["monitor=auto"]


def test_quoted_text_is_taken_back_as_it_is() -> None:
    names = [*ODD, "a\\'b", '"', "$'x'", "a  b", "\\"]
    typed = [q + in_quotes(name, q) + q for name in names for q in ("", "'", '"')]
    expected = [name for name in names for _ in range(3)]
    assert split_line(f"dlrun {' '.join(typed)} ")[0] == expected
    code = f"printf '%s\\0' {' '.join(typed)}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\0")[:-1] == expected


def test_a_line_is_split_as_by_the_shell() -> None:
    assert split_line("dlrun") == ([], "dlrun", "")
    assert split_line('A=1 B= dlrun  show \'\' "a\\b\\"" c') == (["show", "", 'a\\b"'], "c", "")
    assert split_line("dlrun \\\n  show a\\") == (["show"], "a", "")
    assert split_line("dlrun 'it\\'s ", "fish") == ([], "it's ", "'")
    assert split_line("dlrun 'it\\'s ") == (["it\\s"], "", "")


# In real shells


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`dlrun` as a console script, in a folder of its own."""
    file = tmp_path_factory.mktemp("bin") / "dlrun"
    file.write_text(f"#!{sys.executable}\nfrom dlrun.cli import main\nmain()\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def environment(program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a shell: our `dlrun` comes first, and the home directory is an empty one."""
    return {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(schema.__file__).parents[1]),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }


def require_shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def typed(shell: str, lines: Sequence[str], environment: dict[str, str]) -> list[str]:
    """What stands on the command line when TAB has been typed behind each of the lines."""
    startup, saved = Path(f"startup.{shell}"), Path("saved")
    save = f'{{ printf %s "$LINE" >{saved}.new; mv {saved}.new {saved}; LINE=; }}'
    if shell == "bash":
        keys = "bind 'set enable-bracketed-paste off'; bind -x '\"\\C-g\": save'"
        command = ["bash", "--noprofile", "--rcfile", str(startup), "-i"]
    else:
        keys = "zle -N save; bindkey '^G' save"
        command = ["zsh", "-d", "-i"]
        startup = Path(".zshrc")
    name = {"bash": "READLINE_LINE", "zsh": "BUFFER"}[shell]
    startup.write_text(
        f"PS1='> '; {script(shell)}\nsave() {save.replace('LINE', name)}\n{keys}\necho rea''dy\n"
    )
    spawn = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", *command]
    with subprocess.Popen(
        spawn,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment, "ZDOTDIR": str(Path.cwd())},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            said = wait_for(process, lambda said: b"ready" in said)
            found = []
            for line in lines:
                process.stdin.write(f"{line}\t\x07".encode())
                process.stdin.flush()
                said = wait_for(process, lambda _: saved.exists())
                assert saved.exists(), said
                found.append(saved.read_text())
                saved.unlink()
            return found
        finally:
            process.stdin.write(b"\x15exit\n")
            process.stdin.flush()
            wait_for(process, lambda _: process.poll() is not None)
            process.kill()


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[bytes], bool]) -> bytes:
    """What a process has said until the condition held for it, or half a minute was over."""
    assert process.stdout is not None
    said = b""
    end = time.monotonic() + 30
    while not condition(said) and time.monotonic() < end:
        if select.select([process.stdout], [], [], 0.02)[0]:
            said += os.read(process.stdout.fileno(), 65536)
    return said


LINES = {
    "dlrun ev": "dlrun evaluate ",
    "dlrun opt": "dlrun optim",
    "dlrun optim=adamw": "dlrun optim=adamw ",
    "dlrun -m optim=sgd,adamw": "dlrun -m optim=sgd,adamw",
    "dlrun regularization=[dropout,l1": "dlrun regularization=[dropout,l1",
    "X=1 dlrun é model=ml": "X=1 dlrun é model=mlp ",
    "dlrun dataset.path=tab": "dlrun dataset.path=table\\ 1.csv ",
    "dlrun 'dataset.path=tab": "dlrun 'dataset.path=table 1.csv' ",
    "dlrun export last --format=o": "dlrun export last --format=onnx ",
    "~/bin/dlrun ev": "~/bin/dlrun evaluate ",
}
# What is typed of an odd name, unquoted and within quotes.
BEGINNINGS = ("a", "e", "h", "k", "q", "'e", '"f', '"a', "'x", '"x')


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_in_a_real_shell(shell: str, environment: dict[str, str], program: Path) -> None:
    require_shell(shell)
    for name in (*ODD, *HIDDEN):
        make_run(DAY / name)
    Path("table 1.csv").write_text("")
    (Path(environment["HOME"]) / "bin").symlink_to(program.parent)
    lines = [*LINES, *(f"dlrun show {beginning}" for beginning in BEGINNINGS)]
    found = typed(shell, lines, environment)
    assert dict(zip(LINES, found, strict=False)) == LINES
    for beginning, line in zip(BEGINNINGS, found[len(LINES) :], strict=True):
        (name,) = [name for name in ODD if name.startswith(beginning.strip("'\""))]
        assert line.endswith(" "), line  # it was found, and is whole
        code = line.replace("dlrun show", "printf %s")
        assert subprocess.run([shell, "-c", code], capture_output=True).stdout.decode() == name, (
            line
        )
    assert not list(Path().rglob("ran"))


def test_tab_in_fish(environment: dict[str, str]) -> None:
    fish = require_shell("fish")
    for name in (*ODD, *HIDDEN):
        make_run(DAY / name)
    Path("table 1.csv").write_text("")
    Path("dlrun.fish").write_text(script("fish"))
    expected = {
        "dlrun ev": ["evaluate"],
        "dlrun opt": ["optim=", "optim."],
        "dlrun 'regularization=[dropout,l1": ["regularization=[dropout,l1"],
        "X=1 dlrun model=ml": ["model=mlp"],
        "dlrun dataset.path=tab": ["dataset.path=table 1.csv"],
        "dlrun export last --format=o": ["--format=onnx"],
        "dlrun show e": [ODD[1]],
        "dlrun show 'f": [ODD[2]],
        "dlrun show a\\ ": [ODD[0]],
        "dlrun show $(touch ran)": [],
        'dlrun dataset.path="$(touch ran)': [],
    }
    code = "source dlrun.fish; for line in $argv; complete -C $line; echo; end"
    done = subprocess.run(
        [fish, "--no-config", "-c", code, *expected],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.stderr == ""
    found = [block.splitlines() for block in f"\n{done.stdout}".split("\n\n")]
    told = [[line.partition("\t")[0] for line in block if line] for block in found]
    assert dict(zip(expected, told, strict=False)) == expected
    assert not list(Path().rglob("ran"))


def test_an_answer_imports_neither_torch_nor_hydra() -> None:
    make_run(DAY / "run")
    code = (
        "import sys; from dlrun.cli import command_line\n"
        "for line in ('', 'show ', 'optim=', 'optim.l', 'hydra/launcher=', 'report ', 'monitor=',\n"
        "             'evaluate last dataset.', 'experiments ', 'export --format ', '-'):\n"
        "    assert command_line(['completion', 'answer', 'zsh', 'dlrun ' + line]) == 0\n"
        "heavy = {'torch', 'hydra', 'omegaconf', 'numpy', 'pandas', 'rich'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "word\tlast\t" in done.stdout and "stem\toptim.lr=\t" in done.stdout


# Into a shell and out of it


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR", "BASH_COMPLETION_USER_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


PLACES = {
    "bash": ".local/share/bash-completion/completions/dlrun",
    "zsh": ".local/share/dlrun/dlrun.zsh",
    "fish": ".config/fish/completions/dlrun.fish",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_install_and_uninstall(shell: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, startup = home / PLACES[shell], home / f".{shell}rc"
    before = b"alias a=b\nexport C='\xff'\n"
    startup.write_bytes(before)
    startup.chmod(0o640)
    assert completion(["install", shell]) == 0
    assert place.read_text() == script(shell)
    installed = startup.read_bytes()
    line = f"[ -r {place} ] && . {place} {MARK}\n".encode()
    assert installed == (before if shell == "fish" else before + line)
    assert capsys.readouterr().out.startswith(f"wrote {place}\n")

    assert completion(["install", shell]) == 0
    assert (place.read_text(), startup.read_bytes()) == (script(shell), installed)
    assert capsys.readouterr().out.startswith(f"{place} is up to date\n")

    assert completion(["uninstall", shell]) == 0
    assert (place.exists(), startup.read_bytes()) == (False, before)
    assert startup.stat().st_mode & 0o777 == 0o640
    assert f"removed {place}\n" in capsys.readouterr().out

    assert completion(["uninstall", shell]) == 0
    assert capsys.readouterr().out == f"nothing to undo: completion is not installed for {shell}\n"


def test_the_line_in_a_startup_file_reads_the_script(home: Path) -> None:
    odd = home / "a 'b"
    odd.mkdir()
    Path(".bashrc").write_text("no_newline=1")
    os.environ["XDG_DATA_HOME"] = str(odd)
    try:
        completion(["install", "bash"])
    finally:
        del os.environ["XDG_DATA_HOME"]
    code = ". ./.bashrc; echo $no_newline; complete -p dlrun"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\ncomplete -F _dlrun dlrun\n", "")


def test_install_takes_the_shell_that_one_uses(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    completion(["install"])
    assert (home / PLACES["zsh"]).exists() and (home / ".zshrc").exists()
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    with pytest.raises(UserError) as raised:
        completion(["install"])
    assert str(raised.value) == (
        "dlrun completion: $SHELL is tcsh; expected bash, zsh, fish "
        "(type dlrun completion install bash)"
    )


def test_bash_completion_needs_no_line(home: Path) -> None:
    before = "if true; then\n  . /usr/share/bash-completion/bash_completion\nfi\n"
    Path(".bashrc").write_text(before)
    completion(["install", "bash"])
    assert Path(".bashrc").read_text() == before
    Path(".bashrc").write_text("  # . /usr/share/bash-completion/bash_completion\n")
    completion(["install", "bash"])
    assert MARK in Path(".bashrc").read_text()


def test_a_startup_file_that_is_a_link_stays_one(home: Path) -> None:
    Path("dotfiles").mkdir()
    Path("dotfiles/zshrc").write_text("a=1\n")
    Path(".zshrc").symlink_to("dotfiles/zshrc")
    completion(["install", "zsh"])
    assert Path(".zshrc").is_symlink() and MARK in Path("dotfiles/zshrc").read_text()
    # An installation that has moved is read from its new place alone.
    text = Path(".zshrc").read_text()
    Path(".zshrc").write_text(text.replace("dlrun.zsh", "old.zsh"))
    completion(["install", "zsh"])
    assert Path(".zshrc").read_text() == text


def test_a_file_of_somebody_else_is_left_alone(home: Path) -> None:
    place = home / PLACES["fish"]
    place.parent.mkdir(parents=True)
    place.write_text("complete -c dlrun -a mine\n")
    for action in ("install", "uninstall"):
        with pytest.raises(UserError, match="is not of dlrun completion"):
            completion([action, "fish"])
    assert place.read_text() == "complete -c dlrun -a mine\n"


def test_what_cannot_be_written_is_told(home: Path) -> None:
    (home / ".config").write_text("a file")
    with pytest.raises(
        UserError, match=r"dlrun\.fish: cannot be (read|written) \(Not a directory\)"
    ):
        completion(["install", "fish"])


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([], "expected install, uninstall, bash, zsh, fish, got nothing"),
        (["tcsh"], "expected install, uninstall, bash, zsh, fish, got tcsh"),
        (["install", "t\x1b"], "t\\x1b: expected bash, zsh, fish"),
        (["bash", "zsh"], "got bash zsh"),
    ],
)
def test_wrong_words(words: list[str], fault: str) -> None:
    with pytest.raises(UserError) as raised:
        completion(words)
    assert fault in str(raised.value)
    assert str(raised.value).endswith("(type dlrun completion install)")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    completion([shell])
    assert capsys.readouterr().out == script(shell)
    assert command_line(["-sc", f"install={shell}"]) == 0  # as startup files may still have it
    assert capsys.readouterr().out == script(shell)
    assert command_line(["-sc", f"uninstall={shell}"]) == 0
    assert "dlrun" in capsys.readouterr().out
    assert command_line(["-sc", "install=tcsh"]) == 2
    assert "type dlrun completion install" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["bash"], ["tcsh", "dlrun "], ["bash", "a", "b", "c"]])
def test_what_no_script_asks_is_refused_in_a_line(words: list[str]) -> None:
    with pytest.raises(UserError, match="^dlrun completion answer: is for scripts"):
        completion(["answer", *words])


def test_bash_may_leave_out_what_it_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    assert completion(["answer", "bash", "dlrun resu"]) == 0
    assert capsys.readouterr().out.split("\t")[:2] == ["word", "resume"]
