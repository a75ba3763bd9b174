"""Random configs: what is typed on a command line, and the files that lie there.

A case follows from (seed, number) alone. An own generator in place of hypothesis: it knows dlrun's
groups, keys and files, so that most of its cases come far; and a number is all that one needs to
have a case again.
"""

from __future__ import annotations

import dataclasses
import io
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from PIL import Image

from dlrun import schema
from dlrun.hydra_session import packaged_conf

KINDS = ("values", "keys", "types", "yaml", "flags")
CANARY = "made_by_foreign_code"  # a file that only runs of foreign code would make


@dataclasses.dataclass(frozen=True)
class Case:
    """What is typed, in a folder that holds these files (a name with / at its end: a folder)."""

    kind: str
    words: tuple[str, ...]
    files: dict[str, bytes]


def listed(text: str) -> tuple[str, ...]:
    """What stands between the spaces."""
    return tuple(text.split())


# Values as one types them.
HUGE = ("1000000000", "2147483648", "9223372036854775807", "9223372036854775808", "1e15")
NUMBERS = (
    *listed("-1 0 -0.0 1 2 0.5 1.5 -2.5 1e-320 1e308 -1e308 1e309 nan inf -inf 0x10 1_000 007"),
    *listed("+1 1. .5 1e --1"),
    *("1" + "0" * 30, "-1" + "0" * 30, "1" + "0" * 400, "1" * 5000, *HUGE),
)
TEXTS = (
    *listed("null true false yes None ~ ??? '???' auto full adam 'quoted' \"double\" 'open \"open"),
    *listed("it's back\\slash \\ '\\' ünïcödé 日本語 😀 <script>alert(1)</script> = a=b : a:b %"),
    *listed("%(x)s"),
    *listed("%s {} {0} @ # ! &a *a | > - , . .. ../x a/b /dev/null /proc/x 1,2 choice(1,2)"),
    *listed("range(1,3) range(1,2,0) interval(0,1) glob(*) sort(2,1) shuffle(1,2) int(1.5)"),
    *listed("float(a) str(1) json_str({a:1}) tag(a,1) nope(1) extend_list(1) int( x) cpu"),
    *listed("cuda:0 huber accuracy/val loss/val"),
    *(
        "",
        "two words",
        "# note",
        "!!int 3",
        "- 1",
        "a\nb",
        "'a\nb\nc\nd'",
        "a\tb",
        "a\rb",
        "x" * 5000,
    ),
    *("\u202eleft", "\x1b[31mred", "'\x1b]0;title\x07'", "\x7f", "\x85", "\udcff"),
)
INTERPOLATIONS = (
    *listed("$ ${ } ${} ${nope} ${.lr} ${..} ${seed} ${model} ${epochs} ${model.hidden}"),
    *listed("${optimizer.lr} ${hydra:runtime.cwd} ${hydra.run.dir} ${a:b:c} ${oc.env:HOME}"),
    *listed("${oc.env:NO_SUCH} ${oc.env:} ${oc.decode:'['} ${oc.decode:1} ${oc.create:{a:1}}"),
    *listed("${oc.select:nope,1} ${oc.dict.keys:model} ${oc.deprecated:seed} ${now:%Y} ${now:}"),
    *listed("${dlrun_names:} ${dlrun_hex:1,2} ${dlrun_job:} ${no:1} \\${seed} ${${seed}}"),
    *("${seed}${seed}", "'${'", "${" * 50, "${a" * 300 + "}" * 300),
)
MAKES_CANARY = f"{{_target_:os.mkdir,path:{CANARY}}}"
MAKES_CANARY_LATER = f"{{_target_:os.mkdir,_partial_:true,path:{CANARY}}}"
COLLECTIONS = (
    *listed("[ ] [] [1 [null] [[]] [[1,2],[3]] [1,a,true] [nan] [-1] [0] [1.5] [true] ['']"),
    *listed("[0.9,0.99] [0.9,0.99,0.999] [0.9] [1,1] [${seed}] {} { {a:1} {a:{b:[1,{c:null}]}}"),
    *listed("{1:2} {a.b:1} {_partial_:true}"),
    *("[" * 200 + "]" * 200, "[" * 5000, f"[{','.join('1' * 300)}]"),
    *(MAKES_CANARY, MAKES_CANARY_LATER, f"[{MAKES_CANARY}]", f"{{x:{MAKES_CANARY}}}"),
    *(f"{{x:{{y:{MAKES_CANARY}}}}}", f"{{handlers:{{x:{MAKES_CANARY}}}}}"),
)
# Where a large number asks for that much memory or time, which is another matter than its form
SIZES = listed(
    "hidden channels dense kernel_size n_samples n_features centers size image_size max_iter "
    "max_eval history_size max_epochs"
)
LEFT_OUT = {"debug.traceback", "device.compile"}  # one asks for a traceback, one takes a minute
EXTRA_KEYS: dict[str, Any] = {
    "model.init_from": None,
    "model.freeze": [],
    "hydra.run.dir": "run",
    "hydra.sweep.dir": "sweep",
    "hydra.sweep.subdir": "job",
    "hydra.job.name": "dlrun",
    "hydra.job.chdir": False,
    "hydra.job.num": 0,
    "hydra.job.env_set": {},
    "hydra.job.env_copy": [],
    "hydra.job.config.override_dirname.exclude_keys": [],
    "hydra.mode": "RUN",
    "hydra.verbose": False,
    "hydra.output_subdir": ".hydra",
    "hydra.searchpath": [],
    "hydra.callbacks": {},
    "hydra.launcher": {},
    "hydra.launcher._target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra.sweeper": {},
    "hydra.sweeper.max_batch_size": None,
    "hydra.sweeper.params": {},
    "hydra.job_logging": {},
    "hydra.job_logging.version": 1,
    "hydra.job_logging.root.level": "INFO",
    "hydra.job_logging.handlers.file.filename": "train.log",
    "hydra.hydra_logging": {},
    "hydra.runtime.output_dir": "run",
    "hydra.runtime.choices": {},
    "hydra.overrides.task": [],
}
DATASETS = ("digits", "digits", "moons", "circles", "blobs", "boston", "diabetes")
OWN_DATA = ("csv", "image_folder")
QUICK = ("debug=fast_dev_run", "figures=false")
SMALL = {"mlp": ("model.hidden=[8]",), "cnn": ("model.channels=[4]", "model.dense=[8]")}
TABLE = b"a,b,c,y\n" + b"".join(
    b"%d,%d,%s,%d\n" % (i, i * i, b"uv"[i % 2 :][:1], i % 3) for i in range(60)
)


def photo(shade: int) -> bytes:
    """A PNG of 4 x 4 pixels of one shade of grey."""
    file = io.BytesIO()
    Image.new("L", (4, 4), shade).save(file, "png")
    return file.getvalue()


PHOTOS = {f"photos/{name}/{k}.png": photo(k) for name in "ab" for k in range(12)}


def packaged_choices() -> dict[str, dict[str, bytes]]:
    """The text of every packaged choice, by group."""
    folders = [folder for folder in sorted(packaged_conf().iterdir()) if folder.is_dir()]
    return {
        folder.name: {file.stem: file.read_bytes() for file in sorted(folder.glob("*.yaml"))}
        for folder in folders
        if folder.name != "hydra"
    }


CHOICES = packaged_choices()
GROUPS = tuple(CHOICES)


def settings_of(words: Sequence[str]) -> dict[str, Any]:
    """Keys of the composed config with a default each, given which choices are typed."""
    chosen = dict(word.split("=", 1) for word in ("model=mlp", "optimizer=adam", *words))
    keys = dict(EXTRA_KEYS)
    for group in schema.OPEN_GROUPS:
        content = yaml.safe_load(CHOICES[group][chosen[group]])
        keys |= {f"{group}.{key}": value for key, value in content.get(group, content).items()}
        keys[group] = content
    for field in dataclasses.fields(schema.Config):
        default = getattr(schema.Config(), field.name)
        if dataclasses.is_dataclass(default):
            keys |= {f"{field.name}.{key}": value for key, value in vars(default).items()}
        elif field.name not in schema.OPEN_GROUPS:
            keys[field.name] = default
    return {key: value for key, value in keys.items() if key not in LEFT_OUT}


def sound_words(rng: random.Random) -> tuple[list[str], dict[str, bytes]]:
    """Words of a tiny run that works, and the files that it reads."""
    model = rng.choice(("mlp", "mlp", "mlp", "linear", "cnn"))
    dataset = "digits" if model == "cnn" else rng.choice((*DATASETS, *OWN_DATA))
    optimizer = rng.choice([*CHOICES["optimizer"], "adam", "sgd"])
    words = [f"model={model}", f"dataset={dataset}", f"optimizer={optimizer}", *QUICK]
    words += SMALL.get(model, ())
    files = {}
    if dataset == "csv":
        words += ["dataset.path=table.csv", "dataset.categorical=[c]"]
        files["table.csv"] = TABLE
    if dataset == "image_folder":
        words += ["dataset.path=photos", "dataset.size=4"]
        files |= PHOTOS
    if rng.random() < 0.7:
        words.append("quiet=true")
    return words, files


def plausible(rng: random.Random, default: Any) -> str:
    """A value of the default's type that may well be accepted."""
    if isinstance(default, bool):
        return rng.choice(("true", "false"))
    if isinstance(default, (int, float)):
        return repr(rng.choice((default, default * 2, default / 10, 0, 1, 2, 0.5, 0.01)))
    if isinstance(default, str) and default and "$" not in default:
        return default
    if isinstance(default, list) and default:
        return f"[{','.join(repr(rng.choice((*default, 1, 0.5))) for _ in default)}]"
    return rng.choice(("null", "1", "0.1", "2", "[]", "[4]", "{}"))


def value_for(rng: random.Random, key: str, default: Any) -> str:
    """A random value: one that may be accepted, one of the right type at least, or any."""
    likely: tuple[str, ...] = TEXTS
    if default is None or isinstance(default, (int, float)):
        likely = NUMBERS
    elif isinstance(default, (list, dict)):
        likely = COLLECTIONS
    kind = rng.random()
    if kind < 0.3:
        return plausible(rng, default)
    if kind > 0.65:
        likely = rng.choice((NUMBERS, TEXTS, INTERPOLATIONS, COLLECTIONS))
    value = rng.choice(likely)
    too_large = key.rpartition(".")[2] in SIZES and value in HUGE
    return "-1" if too_large else value


def random_values(rng: random.Random) -> Case:
    """One to three keys of a sound run with random values."""
    words, files = sound_words(rng)
    keys = settings_of(words)
    if rng.random() < 0.8:  # Hydra's own are many
        keys = {key: value for key, value in keys.items() if not key.startswith("hydra.")}
    for key in rng.sample(sorted(keys), rng.choice((1, 1, 2, 3))):
        prefix = rng.choice(("", "", "", "", "++", "+"))
        words.append(f"{prefix}{key}={value_for(rng, key, keys[key])}")
    if rng.random() < 0.1:
        words.append("-m")
    return Case("values", tuple(words), files)


ODD_KEYS = (
    *listed(". .. a..b .seed seed. seed.x seed.x.y model. model.hidden.0 model.hidden[0]"),
    *listed("model[hidden] optimizer.betas[0] optimizer.betas.0 model.a.b.c model/mlp model@x"),
    *listed(
        "model@ @x model@x.y model@model model@_global_ / optimizer@dataset model@_here_ /model"
    ),
    *listed("model/ hydra hydra. hydra/launcher hydra/job_logging hydra/nope defaults _target_"),
    *listed(
        "model._target_ _self_ lr model._partial_ model._convert_ model._args_ 42 4.2 ключ a-b"
    ),
    *listed("optimizer._recursive_ a$b $a ${a} a:b True optim optim.lr optimism OPTIMIZER Model"),
    *listed("experiment sweep dataset._target_ optimizer._target_ optimizer.params dataset.seed"),
    *("", "a b", "\x1b[1m", "a\nb", "\udcff", "x" * 999, "a" + ".a" * 500, "model.in_shape"),
)


def misspelt(rng: random.Random, key: str) -> str:
    """The key with a letter left out, doubled, swapped, or in capitals."""
    i = rng.randrange(len(key))
    return rng.choice(
        (
            key[:i] + key[i + 1 :],
            key[:i] + key[i] * 2 + key[i + 1 :],
            key[:i] + key[i : i + 2][::-1] + key[i + 2 :],
            key[:i] + key[i:].upper(),
            key.replace(".", "/", 1),
            key + "." + rng.choice(("x", "lr", "0", "_target_")),
        )
    )


def random_keys(rng: random.Random) -> Case:
    """A sound run with keys misspelt, added, removed, doubled, or of odd letters."""
    words, files = sound_words(rng)
    keys = settings_of(words)
    for _ in range(rng.choice((1, 1, 2))):
        key = rng.choice(sorted(keys))
        value = plausible(rng, keys[key])
        odd = rng.choice((*ODD_KEYS, misspelt(rng, key), misspelt(rng, rng.choice(GROUPS))))
        prefix = rng.choice(("", "+", "++", "~", "~", "+++", "~+", "-", "!"))
        words.append(
            rng.choice(
                (
                    f"{prefix}{key}={value}",
                    f"{prefix}{key}",
                    f"{prefix}{odd}={value}",
                    f"{prefix}{odd}={value}",
                    f"{prefix}{odd}",
                    f"{odd}={rng.choice(TEXTS)}",
                    f"{key}={value} {key}={value}",
                    rng.choice(words),
                )
            )
        )
    if rng.random() < 0.3:
        rng.shuffle(words)
    return Case("keys", tuple(words), files)


def random_types(rng: random.Random) -> Case:
    """A sound run with whole groups replaced, and choices that are wrong, doubled or lists."""
    words, files = sound_words(rng)
    for _ in range(rng.choice((1, 1, 2))):
        group = rng.choice((*GROUPS, "hydra/launcher", "hydra/sweeper", "hydra/job_logging"))
        names = sorted(CHOICES.get(group, {"basic": b""}))
        one, other = rng.choice(names), rng.choice(names)
        wrong = rng.choice((*TEXTS, *NUMBERS, *COLLECTIONS, *INTERPOLATIONS))
        key = group.replace("/", ".")
        words.append(
            rng.choice(
                (
                    f"{group}={one}",
                    f"{group}={wrong}",
                    f"{group}={one.upper()}",
                    f"{group}={misspelt(rng, one)}",
                    f"{group}={one}.yaml",
                    f"{group}=../{group}/{one}",
                    f"{group}=/{one}",
                    f"{group}=[{one},{other}]",
                    f"{group}=[{one}]",
                    f"{group}=[]",
                    f"{group}=[{one},{wrong}]",
                    f"{group}={one},{other}",
                    f"+{group}={one}",
                    f"++{group}={one}",
                    f"~{group}",
                    f"~{group}={one}",
                    f"+{group}@{rng.choice(GROUPS)}={one}",
                    f"{group}@_global_={one}",
                    f"++{key}={wrong}",
                    f"++{key}={{{plausible(rng, '')}:1}}",
                    f"++{key}={MAKES_CANARY_LATER}",
                    f"+{key}.x={{y:[{wrong}]}}",
                )
            )
        )
    if rng.random() < 0.15:
        words.append("-m")
    return Case("types", tuple(words), files)


HEADERS = tuple(
    f"# @package {name}\n".encode()
    for name in ("_global_", "model", "", "a.b.c", "_group_", "${x}", "_global_ x", "..")
)
YAML_TEXTS = tuple(
    text if isinstance(text, bytes) else text.encode(errors="replace")
    for text in (
        f"!!python/object/apply:os.mkdir [{CANARY}]",
        f"!!python/object/new:os.mkdir [{CANARY}]",
        *listed("!!python/name:os.system !!python/module:os !! ! !!null &a *nope 2001-01-01"),
        *listed('12:30:45 1_0 0b1 0o8 .inf .NaN \'open "\\q" "\\ud800" @x `x` --- ... %TAG'),
        *("!!python/tuple [1, 2]", "!own {a: 1}", "!!binary aGk=", "!!binary '*'", "!!set {a, b}"),
        *("!!timestamp 2001-01-01", "!!int x", "!!float x", "!!bool x", "!!omap [a: 1]", "!!str 3"),
        *("&a [*a]", "&a {b: *a}", "{<<: 3}", "{<<: [1]}", "{<<: {a: 1}}", "2001-01-01 12:00:00"),
        *("|\n  text", ">-\n  text", "[1, 2", "{a: 1", "a: b: c", "{1: 2}", "{1.5: 2}", "- 1\n"),
        *("{null: 2}", "{true: 2}", "{[1]: 2}", "{{a: 1}: 2}", "{'': 2}", "{a.b: 2}", "{'a b': 2}"),
        *("{'${x}': 2}", "{2001-01-01: 2}", "? [1]\n: 2", "--- 1\n--- 2\n", "%YAML 9.9\n---\n"),
        *(b"\x00", b"\x07", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\x85"),
        *("\t", "\r", "[" * 300 + "]" * 300, "[" * 5000, "{a: " * 2000, "- " * 3000, "9" * 5000),
        *("x" * 10**6, "[&a [1,1,1,1], &b [*a,*a,*a,*a], &c [*b,*b,*b,*b], [*c,*c,*c,*c]]"),
        *(*INTERPOLATIONS, "", "null", "nan", "{}", "[]"),
    )
)
YAML_LINES = tuple(
    f"{line}\n".encode()
    for line in (
        *("defaults: [nope]", "defaults: 3", "defaults: [mine]", "defaults: {a: b}", "defaults:"),
        *("defaults: [_self_, _self_]", "defaults: [{override /model: mlp}]", "defaults: [[a]]"),
        *("defaults: [{/model: linear}]", "defaults: [{a: b, c: d}]", "defaults: ['${x}']"),
        *("defaults: [{model: [mlp, 3]}]", "defaults: [null]", "_target_: 5", "_target_: [a]"),
        *("_target_: os.mkdir", "_target_: ''", "_target_: torch.hub.load", "_target_: .x"),
        *("_target_: x..y", "_target_: ???", "_partial_: 3", "_partial_: false", "_args_: [1]"),
        *("_args_: 3", "_here_: 1", "_convert_: bogus", "_recursive_: x", "_recursive_: false"),
        *("hydra: {x: 1}", "hydra:\n  run: {dir: [1]}", "seed: x", "<<: {a: 1}", "<<: [[1]]"),
        *("1: 2", ": 1", "? x", "- 1", "model: {hidden: [4]}", "epochs: 1", "a", "\tb: 1"),
        f"hydra: {{callbacks: {{x: {{_target_: os.mkdir, path: {CANARY}}}}}}}",
        f"hydra: {{hydra_logging: {{handlers: {{x: {{(): os.mkdir, path: {CANARY}}}}}}}}}",
    )
)
EXPERIMENT = b"""# @package _global_
defaults:
  - override /model: linear
  - override /optimizer: sgd
  - _self_
epochs: 2
optimizer:
  lr: 0.1
regularization: {l1: 0.001}
"""


def mutated(rng: random.Random, text: bytes) -> bytes:
    """The YAML file with one change to its bytes or lines."""
    at = rng.randrange(len(text) + 1)
    lines = text.splitlines(keepends=True) or [b""]
    line = rng.randrange(len(lines))
    key = re.match(rb"\s*[\w.]+: ", lines[line])

    def with_line(*new: bytes) -> bytes:
        return b"".join([*lines[:line], *new, *lines[line + 1 :]])

    changes: tuple[Callable[[], bytes], ...] = (
        lambda: text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :],
        lambda: text[:at],
        lambda: text[:at] + text[at + rng.randrange(1, 20) :],
        lambda: text[:at] + rng.choice((*YAML_TEXTS, b"\t", b"\n", b" ", b":", b"#")) + text[at:],
        lambda: with_line(lines[line], lines[line]),
        lambda: with_line(b"\t" + lines[line]),
        lambda: with_line(b"  " + lines[line]),
        lambda: with_line((key[0] if key else b"x: ") + rng.choice(YAML_TEXTS) + b"\n"),
        lambda: with_line((key[0] if key else b"x: ") + rng.choice(YAML_TEXTS) + b"\n"),
        lambda: with_line(lines[line], rng.choice(YAML_LINES)),
        lambda: with_line(lines[line], rng.choice(YAML_LINES)),
        lambda: rng.choice(HEADERS) + text,
        lambda: b"\xef\xbb\xbf" + text,
        lambda: text.decode(errors="replace").encode(rng.choice(("utf-16", "utf-32", "utf-16-le"))),
        lambda: text.replace(b"\n", rng.choice((b"\r\n", b"\r", b" "))),
        lambda: rng.choice((b"", b"\n", b"# nothing\n", b"null\n", b"3\n", b"text\n", b"[]\n")),
        lambda: rng.randbytes(rng.randrange(1, 200)),
        lambda: text + rng.choice(YAML_TEXTS),
    )
    return rng.choice(changes)()


def random_yaml(rng: random.Random) -> Case:
    """A sound run with a choice of the user's own: a packaged file whose bytes have changed."""
    words, files = sound_words(rng)
    group = rng.choice((*GROUPS, "model", "optimizer", "dataset", "experiment", "experiment"))
    own = {"experiment": {"x": EXPERIMENT}, "sweep": {"x": EXPERIMENT}}
    names = {**CHOICES, **own}[group]
    typed = dict(word.split("=", 1) for word in words if "=" in word)
    # The words that stand there already fit that choice.
    name = typed.get(group) if typed.get(group) in names else rng.choice(sorted(names))
    text = names[str(name)]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        text = mutated(rng, text)
    files[f"conf/{group}/mine.yaml"] = text
    words.append(f"{group}=mine")
    beside = rng.choice((None,) * 12 + ("conf/model/mlp.yaml/", "conf/mine.yaml", "conf/x/y.yaml"))
    if beside is not None:
        files[beside] = b"" if beside.endswith("/") else mutated(rng, EXPERIMENT)
    return Case("yaml", tuple(words), files)


FLAGS = (
    *listed(
        "-h --help --hydra-help --version --resolve -q --quiet --run -r -m --multirun -c --cfg"
    ),
    *listed("-p --package -sc --shell-completion -i --info -cp --config-path -cn --config-name"),
    *listed("-cd --config-dir -- - --experimental-rerun --cf --conf --hel --= --- -x --trust -mq"),
    *listed("-hm --cfg=job --cfg=all --info=plugins --info=defaults-tree --info=searchpath"),
)
FLAG_ARGUMENTS = (
    *listed("job hydra all config defaults defaults-tree plugins searchpath x install=bash"),
    *listed("install=zsh install=fish uninstall=bash query=bash query=x install conf . .. absent"),
    *listed("model model.hidden _global_ config.yaml model/mlp /dev/null run.pkl = seed=1"),
    *("optim=sgd,adam", "", "\x1b", "\udcff", "x" * 5000),
)
VERBS = (
    *listed("train doctor resume report trian train=1 TRAIN \udcff help --"),
    *("", " "),
)


def random_flags(rng: random.Random) -> Case:
    """Flags and verbs, doubled, without their argument or with one of another flag."""
    words, files = sound_words(rng) if rng.random() < 0.7 else ([], {})
    words = words or ["seed=1", "--cfg", "job"] * (rng.random() < 0.5)
    for _ in range(rng.choice((1, 1, 2, 3))):
        flag = [rng.choice(FLAGS)]
        if rng.random() < 0.5:
            flag.append(rng.choice(FLAG_ARGUMENTS))
        at = rng.choice((0, len(words), rng.randrange(len(words) + 1)))
        words[at:at] = flag
    if rng.random() < 0.4:
        verb = rng.choice(("train", "train", *VERBS))
        words = [verb, *([] if verb == "doctor" and rng.random() < 0.5 else words)]
    if not words or words == ["train"]:
        words.append("--help")
    if rng.random() < 0.2:
        files["conf/model/mine.yaml"] = mutated(rng, CHOICES["model"]["mlp"])
    return Case("flags", tuple(words), files)


GENERATORS: dict[str, Callable[[random.Random], Case]] = {
    "values": random_values,
    "keys": random_keys,
    "types": random_types,
    "yaml": random_yaml,
    "flags": random_flags,
}


def make_case(seed: int, number: int) -> Case:
    """Case `number` of a seed; the kinds take turns."""
    return GENERATORS[KINDS[number % len(KINDS)]](random.Random(f"{seed}/{number}"))
