"""Every picture: each function takes plain results and returns a matplotlib Figure.

Nothing here trains, opens a window or touches matplotlib's global state. Import it when a figure
is due, not before: matplotlib is slow to import. Save with `figure.savefig(path)`.
"""

from dlrun.figures.confusion import confusion_matrix
from dlrun.figures.curves import learning_curves
from dlrun.figures.regression import predictions
from dlrun.figures.samples import sample_grid
from dlrun.figures.style import pixels

__all__ = ["confusion_matrix", "learning_curves", "pixels", "predictions", "sample_grid"]
