"""Settings of the launchers, as choices of the group hydra/launcher; light to import.

Hydra and its published plugins register launchers under some of these names themselves, so these
are put over them, in the ConfigStore, for as long as dlrun composes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional


# OmegaConf reads these annotations itself: it wants Optional, not `X | None`.
@dataclass
class BasicSettings:
    """In this process, one job after another; imports and data sets are shared."""

    _target_: str = "dlrun.sweeps.launchers.Basic"


@dataclass
class LocalSettings:
    """In several processes on this machine; one that is killed takes down no other job."""

    _target_: str = "dlrun.sweeps.launchers.Local"
    workers: Optional[int] = None  # at once; null: one a GPU, or one a core where there is none
    threads: Optional[int] = None  # of each; null: the cores divided by the workers


@dataclass
class SubmititLocalSettings:
    """Through submitit on this machine, a process for each job: as on a cluster, to try it out."""

    _target_: str = "dlrun.sweeps.submitit_launcher.SubmititLocal"
    max_parallel: Optional[int] = None  # at once; null: as many as the cores or GPUs allow
    cpus_per_task: Optional[int] = None  # threads of each; null: the cores divided by the jobs
    gpus_per_node: Optional[int] = None  # of each job; null: one where there are any
    timeout_min: int = 1440  # minutes; then the job goes on from its checkpoint in a new process
    signal_delay_s: int = 120  # to save in before that
    max_num_timeout: int = 3  # how often it may
    setup: list[str] = field(default_factory=list)  # shell commands before each job


@dataclass
class SubmititSlurmSettings:
    """On a Slurm cluster, through submitit: a job array. Names as in hydra-submitit-launcher."""

    _target_: str = "dlrun.sweeps.slurm_launcher.SubmititSlurm"
    max_parallel: Optional[int] = None  # handed to Slurm at once; null: all; for a search a number
    name: str = "dlrun"
    timeout_min: int = 60  # minutes; then the job is queued again and goes on from its checkpoint
    cpus_per_task: Optional[int] = None  # and threads of each job
    gpus_per_node: Optional[int] = None  # of each job
    gpus_per_task: Optional[int] = None
    cpus_per_gpu: Optional[int] = None
    mem_gb: Optional[float] = None
    mem_per_cpu: Optional[str] = None  # 4GB
    mem_per_gpu: Optional[str] = None
    partition: Optional[str] = None
    qos: Optional[str] = None
    account: Optional[str] = None
    constraint: Optional[str] = None
    nodelist: Optional[str] = None
    exclude: Optional[str] = None
    gres: Optional[str] = None
    comment: Optional[str] = None
    signal_delay_s: int = 120  # to save in before the time is up
    max_num_timeout: int = 3  # how often it may be up
    array_parallelism: int = 256  # jobs that Slurm runs at a time
    setup: list[str] = field(default_factory=list)  # shell commands before each job
    srun_args: list[str] = field(default_factory=list)
    additional_parameters: Optional[Any] = None  # a mapping: any other of sbatch


@dataclass
class RaySettings:
    """On Ray: started here for the sweep and ended with it, or a cluster that is joined."""

    _target_: str = "dlrun.sweeps.ray_launcher.Ray"
    address: Optional[str] = None  # of a cluster (auto, HOST:PORT) that sees the sweep's folder
    num_cpus: Optional[int] = None  # that Ray may use here; null: all
    num_gpus: Optional[int] = None  # likewise
    cpus_per_task: int = 1  # of each job, and its threads
    gpus_per_task: Optional[float] = None  # 0.5 too; null: 1 where there are any here
    mem_gb: Optional[float] = None  # that each job is promised


LAUNCHERS: dict[str, type] = {
    "basic": BasicSettings,
    "local": LocalSettings,
    "submitit_local": SubmititLocalSettings,
    "submitit_slurm": SubmititSlurmSettings,
    "ray": RaySettings,
}
