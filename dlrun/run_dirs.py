"""Names of run directories, offered to the config as resolvers."""

from __future__ import annotations

import re
import secrets

from omegaconf import DictConfig, OmegaConf


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
    names = [str(choices.get(group)) for group in ("model", "optimizer", "dataset")]
    return "-".join(file_name(name) for name in names)


def sweep_name(*, _root_: DictConfig) -> str:
    """The sweep preset's name, or `multirun` for one typed on the command line."""
    return file_name(str(_root_.hydra.runtime.choices.get("sweep") or "multirun"))


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
