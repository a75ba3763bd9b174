"""What `dlrun --help` prints. Hydra's own help composes a config for every group it lists."""

from __future__ import annotations

import textwrap
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType

from dlrun.schema import GROUPS

TEXT = """\
dlrun: train networks from config files, compare them, look at them in TensorBoard.

  dlrun [train] [key=value ...]    train (the default verb)
  dlrun resume RUN                 go on with an interrupted run from its last checkpoint
  dlrun rerun RUN [key=value ...]  train once more from a run's config, and compare the two
  dlrun report SWEEP_DIR...        what a sweep has found: tables, pictures, a page
  dlrun experiments                the course, lesson by lesson: experiments that are ready to run

  dlrun ls [DIR...]                a table of runs and sweeps; --where 'accuracy/val>0.95', --sort
  dlrun show RUN                   one run: config, figures, learning curves
  dlrun diff RUN RUN...            what differs between runs: config, metrics, versions
  dlrun tag RUN WORD...            put words on a run, to find it by
  dlrun rm RUN...                  move runs to the trash, which --purge empties

  dlrun evaluate RUN               judge it on a split or on other data: per class, calibration
  dlrun predict RUN FILE...        what it says of images or of the rows of a table
  dlrun serve RUN                  a page on this machine to draw a digit and see the prediction
  dlrun export RUN --format onnx   a file for other programs; torch_export, safetensors
  dlrun pack RUN, unpack FILE      a run as one file, and back

  dlrun completion install         TAB completes verbs, runs, groups and choices
  dlrun doctor                     check this installation, its devices and data

RUN is a directory, a packed file, the beginning of a run's name, or `last`.

Groups, each choice a file; choose with group=choice (optim is short for optimizer):

{groups}

Examples:
  dlrun model=mlp optim=adam                          ten epochs on 5,000 real digits, no network
  dlrun model=cnn dataset=mnist epochs=3              the full MNIST
  dlrun optim=momentum optim.lr=0.05 batch_size=128   other numbers
  dlrun 'regularization=[dropout,l1]' 'model.hidden=[512,128]'
  dlrun dataset=boston loss=huber                     regression
  dlrun -m optim=momentum,adam optim.lr=0.01,0.001    a sweep: every combination
  dlrun experiment=autoencoder_2d                     a lesson of the course, with its pictures
  dlrun sweep=momentum_vs_adam                        a sweep that is ready to run, with its answer
  dlrun --cfg job model=cnn                           show the config instead of running it
  tensorboard --logdir outputs                        look at all of it

Flags:
{flags}
"""


def help_text(loader: ConfigLoader, parser: ArgumentParser) -> str:
    """The help, with the choices of all groups, the user's own included."""
    others = [name for name in loader.list_groups("") if name not in (*GROUPS, "hydra")]
    groups = {
        group: loader.get_group_options(group, ObjectType.CONFIG) for group in (*GROUPS, *others)
    }
    return TEXT.format(groups=format_groups(groups), flags=format_flags(parser))


def format_groups(groups: Mapping[str, Sequence[str]]) -> str:
    """A paragraph a group, its choices in alphabetical order.

    >>> print(format_groups({"model": ["mlp", "cnn"], "loss": ["mse"]}))
      model  cnn, mlp
      loss   mse
    """
    width = max(len(group) for group in groups)
    return "\n".join(
        textwrap.fill(
            ", ".join(sorted(choices)),
            width=100,
            initial_indent=f"  {group:<{width}}  ",
            subsequent_indent=" " * (width + 4),
        )
        for group, choices in groups.items()
    )


def format_flags(parser: ArgumentParser) -> str:
    """A line a flag: dlrun's own, then Hydra's."""
    lines = ["  -q, --quiet               Nothing but errors"]
    for action in parser._actions:
        if action.option_strings and isinstance(action.help, str):
            flags = ", ".join(sorted(action.option_strings, key=len))
            lines.append(f"  {flags:<25} {' '.join(action.help.split())}")
    return "\n".join(lines)
