"""Names of run directories, offered to the config as resolvers, and the claim to a new one."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dlrun.errors import UserError, shown


def register_resolvers() -> None:
    """Makes ${dlrun_names:}, ${dlrun_sweep:}, ${dlrun_job:} and the two hex ones available."""
    OmegaConf.register_new_resolver("dlrun_names", run_names, replace=True)
    OmegaConf.register_new_resolver("dlrun_sweep", sweep_name, replace=True)
    OmegaConf.register_new_resolver("dlrun_job", job_name, replace=True)
    # A run asks anew until a free directory is found; a sweep's jobs must all get the same answer.
    OmegaConf.register_new_resolver("dlrun_hex", _hex, replace=True)
    OmegaConf.register_new_resolver("dlrun_sweep_hex", _hex, replace=True, use_cache=True)


def run_names(*, _root_: DictConfig) -> str:
    """`<model>-<optimizer>-<dataset>`: what was chosen, as a file name."""
    choices = _root_.hydra.runtime.choices
    names = [str(file_stem(choices.get(group))) for group in ("model", "optimizer", "dataset")]
    return "-".join(file_name(name) for name in names)


def sweep_name(*, _root_: DictConfig) -> str:
    """The sweep preset's name, or `multirun` for one typed on the command line."""
    return file_name(str(file_stem(_root_.hydra.runtime.choices.get("sweep")) or "multirun"))


def file_stem(choice: Any) -> Any:
    """A choice as its file is called: Hydra takes model=mlp.yaml and model=/mlp as well.

    >>> file_stem("mlp.yaml"), file_stem(["dropout", "l1.yaml"]), file_stem(None)
    ('mlp', ['dropout', 'l1'], None)
    """
    if isinstance(choice, list):
        return [file_stem(name) for name in choice]
    return choice.removesuffix(".yaml").lstrip("/") if isinstance(choice, str) else choice


def job_name(*, _root_: DictConfig) -> str:
    """`<four-digit number>-<overrides>`: a job's folder within its sweep."""
    job = _root_.hydra.job
    return f"{job.num:04d}-{file_name(job.override_dirname)}"


def file_name(text: str) -> str:
    """The text with anything but letters, digits and `._=,+-` replaced, at most 100 bytes.

    >>> file_name("model.hidden=[8,8],x=a/b")
    'model.hidden=_8,8_,x=a_b'
    """
    return re.sub(r"[^\w.=,+-]", "_", text).encode()[:100].decode(errors="ignore")


def _hex() -> str:
    return secrets.token_hex(2)


def claim_directory(config: DictConfig, key: str) -> Path:
    """The directory that `key` names, made by this process alone; none is ever written over."""
    tried: set[Path] = set()
    while True:
        folder = Path(OmegaConf.select(config, key))
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if folder.is_dir() and not any(folder.iterdir()):
                return folder
            if folder in tried:
                raise UserError(
                    f"{key}={shown(folder)}: exists and is not empty; a run never writes over "
                    "another (name a new directory)"
                ) from None
            tried.add(folder)
        except OSError as error:
            raise UserError(
                f"{key}={shown(folder)}: cannot be made: {error.strerror} "
                f"(for example {key}=/tmp/run1)"
            ) from error
        else:
            return folder
