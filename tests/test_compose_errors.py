"""What is said of configs that Hydra refuses, and of those that it lets through unread."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hydra.types import RunMode

from dlrun.check import check
from dlrun.compose_errors import concerns_config
from dlrun.errors import UserError
from dlrun.hydra_app import chosen, without_hydra
from dlrun.hydra_session import hydra_session, readable_errors
from dlrun.overrides import spell_out

MODELS = (
    "expected one of autoencoder, cnn, conv_autoencoder, deep_mlp, linear, mlp, pca, point, "
    "torchvision"
)
QUOTES = (
    "the value is neither a number, a word, [a list] nor {a: dict}; text with other characters "
    "takes quotes in quotes (for example "
)


def message(*typed: str) -> str:
    """What is said of a config that is composed from these words and checked."""
    words = [spell_out(word) for word in typed]
    with hydra_session() as app, pytest.raises(UserError) as caught, readable_errors(app, words):
        config = app.compose_config("config", words, RunMode.RUN)
        check(without_hydra(config), chosen(config.hydra))
    return str(caught.value)


REFUSED = {
    "model=3": f"model=3: {MODELS}",
    "model=null": f"model=null: {MODELS}",
    "model=[mlp,3]": f"model=[mlp,3]: {MODELS}",
    "optimizer=[adam,{a.b:1}]": "optimizer=[adam,{a.b:1}]: expected one of adabelief, adadelta, "
    "adagrad, adam, adamw, cma_es, evolution, gd, lbfgs, lion, momentum, nadam, nelder_mead, "
    "nesterov, random_search, rmsprop, sgd, simulated_annealing",
    "+model=cnn": "+model=cnn: chosen already, + would add a second one (type model=cnn)",
    "+seed=1": "+seed=1: there already, + would add it (type seed=1)",
    "model@x=mlp": "model@x: no such group; did you mean model?",
    "~seed=3": "~seed=3: Could not delete from config. The value of 'seed' is 0 and not 3.",
    "~optimizer=0.5": "~optimizer=0.5: expected one of adabelief, adadelta, adagrad, adam, adamw, "
    "cma_es, evolution, gd, lbfgs, lion, momentum, nadam, nelder_mead, nesterov, random_search, "
    "rmsprop, sgd, simulated_annealing",
    "figures=maybe": "figures=maybe: expected true or false",
    "seed=${seed}": "seed=${seed}: Recursive interpolation detected",
    "seed=${oc.env:NO}": "seed=${oc.env:NO}: \"Environment variable 'NO' not found\"",
    "seed=${oc.decode:[}": "seed=${oc.decode:[}: ${...} that cannot be read "
    "(for example ${seed}, or ${oc.env:HOME})",
    "loss={a.b:1}": "loss.a.b: no such key (in loss={a.b:1}); there are name, huber_delta",
    "data_dir='a b": f"data_dir='a b: {QUOTES}'data_dir=\"some text\"')",
    "seed=" + "1" * 5000: f"seed={'1' * 94}…{'1' * 99}: {QUOTES}'seed=\"some text\"')",
    "a b=1": "a b=1: expected key=value (for example optim=adam or model.hidden=[64,64])",
    "+seed2=" + "[" * 3000 + "]" * 3000: f"+seed2={'[' * 92}…{']' * 99}: "
    "nested too deeply, or in itself; expected a few levels",
    "epochs=1" + "0" * 30: f"epochs=1{'0' * 30}: expected a whole number below 2^63 in size",
    "optim.eps=1" + "0" * 30: f"optimizer.eps=1{'0' * 30}: expected whole numbers between -2^63 "
    "and 2^63 (for a larger number type it as a decimal, for example optimizer.eps=1e20)",
    # + lets these into the config, where nothing reads them
    "+epoch=3": "epoch: no such key; did you mean epochs?",
    "+stopping.max_step=3": "stopping.max_step: no such key; did you mean max_steps?",
    "+loss.x={y:1}": "loss.x: no such key; there are name, huber_delta",
    "~optimizer": "optimizer: needs a choice (for example optimizer=adam)",
    "+hydra/launcher@dataset=basic": "dataset: needs a choice (for example dataset=mnist5k)",
}


@pytest.mark.parametrize("word", REFUSED)
def test_refused_words(word: str) -> None:
    assert message(word) == REFUSED[word]


def test_the_word_at_fault_is_found_among_others() -> None:
    words = ("dataset=csv", "dataset.path=x", "loss=7", "model=linear", "seed=1")
    assert message(*words).startswith("loss=7: expected one of auto, bce")


def test_a_wrong_key_beside_values_that_lead_nowhere() -> None:
    assert message("data_dir=${nope}", "epochz=1") == "epochz: no such key; did you mean epochs?"


def test_a_key_that_another_word_took_away() -> None:
    assert message("~model", "model.hidden=[8]") == (
        "model.hidden: no such key any more (another word has taken it away)"
    )


OWN_FILES = {
    "model": {
        "a: &a {b: *a}\n": "{file}: nested too deeply, or in itself; expected a few levels",
        "defaults: [[x]]\n": "{file}: not understood (Unsupported type in defaults : ListConfig)",
        "# @package\na: 1\n": "{file}: not understood "
        "(Expected header format: KEY VALUE, got '@package')",
        "3\n": "{file}: not understood (Invalid loaded object type: int)",
        "a: \x00\n": "{file}: not valid YAML: "
        "unacceptable character #x0000: special characters are not allowed",
        "_target_: dlrun.models.linear.Linear\n_partial_: true\n1: 2\n": "model.1: no such key; "
        "there are none",
    },
    "stopping": {
        "max_step: 3\n": "stopping.max_step: no such key (in {file}); did you mean max_steps?",
    },
}


@pytest.mark.parametrize(
    ("group", "text"), [(group, text) for group, texts in OWN_FILES.items() for text in texts]
)
def test_refused_files(group: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "conf" / group / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    (file.parent / "beside.yaml").write_bytes(b"\xff")  # not chosen, and so not to blame
    assert message("seed=1", f"{group}=mine") == OWN_FILES[group][text].format(file=file)


def test_the_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    for name in ("a_file", "mine"):
        file = tmp_path / "conf" / "loss" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"name: \xff\n")
    assert message("loss=mine") == f"{file}: not text in UTF-8 (is this really a YAML file?)"


def test_errors_of_a_run_are_not_taken_for_errors_of_its_config() -> None:
    with hydra_session() as app:
        for error in (RuntimeError("no"), KeyError("x"), OSError(errno.ENOSPC, "full")):
            with pytest.raises(type(error)) as caught, readable_errors(app, []):
                raise error
            assert caught.value is error
        with pytest.raises(ValueError) as refused:
            app.compose_config("config", ["model=3"], RunMode.RUN)
    assert type(refused.value) is ValueError
    assert concerns_config(refused.value)
    assert not concerns_config(MemoryError())
