"""Makes the gallery: runs its experiments, copies their pictures, writes gallery.md.

    python tests/readme/gallery.py [--data DIR] [--keep FOLDER]

Those on MNIST and notMNIST need --data, a folder as for data_dir; without it their pictures stay as
they are. With --keep what lies in FOLDER already, from here or from tests/nightly.py, is not run
again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nightly import is_wanted, run  # noqa: E402

from dlrun.experiments import all_experiments  # noqa: E402

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """command: as typed behind `dlrun`. file: in the figures of what it leaves; text: below it."""

    command: str
    file: str
    title: str
    text: str

    @property
    def copy(self) -> str:
        stem, _, kind = self.file.partition(".")
        return f"{self.command.partition('=')[2]}-{stem}.{kind}"


PICTURES = (
    Picture(
        "experiment=autoencoder_2d",
        "latent_grid.png",
        "The plane of an autoencoder",
        "Every digit of MNIST through two numbers. What each point of their plane decodes to: no "
        "label was used, yet the digits lie in regions.",
    ),
    Picture(
        "experiment=autoencoder_2d",
        "morph.gif",
        "From digit to digit",
        "Codes on the straight way from one image to the next, (1 − t) a + t b, decoded.",
    ),
    Picture(
        "experiment=mlp_2d_two_classes",
        "decision_regions.gif",
        "A network bends its boundary",
        "2-5-5-1 sigmoids on two moons: for a while a straight line, then it folds.",
    ),
    Picture(
        "experiment=spirals",
        "decision_regions.gif",
        "Three spirals",
        "The arms part from the outside inwards; the centre, where they meet, comes last.",
    ),
    Picture(
        "sweep=race_cliff",
        "race.gif",
        "At a cliff",
        "Plain descent and momentum are thrown far out by the wall's gradient; clipped, or with "
        "RMSProp, they get down.",
    ),
    Picture(
        "sweep=race_saddle",
        "race.gif",
        "At a saddle",
        "Plain descent stalls where the slope is nearly 0; momentum leaves, RMSProp and Adam do "
        "not even notice.",
    ),
    Picture(
        "sweep=gradients",
        "side_by_side_gradients.png",
        "Vanishing gradients",
        "Ten layers: the gradient of sigmoids fades by ten powers of ten on its way to the input; "
        "with tanh and Xavier's weights, ReLU and He's, it arrives.",
    ),
    Picture(
        "sweep=boston_one_feature",
        "side_by_side_fit.png",
        "One straight line, four scales",
        "The same gradient descent on log x, x/10, standardised x, and raw x, where it explodes.",
    ),
    Picture(
        "sweep=overfitting_cures",
        "side_by_side_learning_curves.png",
        "Overfitting and its cures",
        "Training and validation over the epochs, with each remedy.",
    ),
    Picture(
        "sweep=lr_over_batch_size",
        "lr_over_batch_size.png",
        "Learning rate over batch size",
        "Over the learning rate the curves of five batch sizes lie apart; over the ratio they "
        "fall together.",
    ),
    Picture(
        "sweep=direct_search",
        "side_by_side_decision_regions.png",
        "Without gradients",
        "A 2-5-1 network trained by five searches that see only the loss, beside gradient descent.",
    ),
    Picture(
        "experiment=mnist_97",
        "worst_mistakes.png",
        "The surest mistakes",
        "Test digits that a network of 98 % was sure of, and wrong.",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    experiments = {e.command: e for e in all_experiments()}
    (HERE / "gallery").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (args.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for command in dict.fromkeys(picture.command for picture in PICTURES):
            group, name = command.split("=")
            made = folder / group / name / "figures"
            if not made.is_dir() and is_wanted(experiments[command], [], args.data):
                assert run(experiments[command], folder, args.data).code == 0, command
            for picture in PICTURES:
                if picture.command == command and made.is_dir():
                    shutil.copy(made / picture.file, HERE / "gallery" / picture.copy)
    write_page()


def write_page() -> None:
    """gallery.md: each picture with its command and what one sees."""
    parts = [
        "# Gallery",
        "Each picture is what the command below it leaves in `figures/`. They are made anew by "
        "`python tests/readme/gallery.py`.",
    ]
    for picture in PICTURES:
        parts += [f"## {picture.title}", f"![{picture.title}](gallery/{picture.copy})"]
        parts += [picture.text, f"```bash\ndlrun {picture.command}\n```"]
    (HERE / "gallery.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
