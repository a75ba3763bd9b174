"""Every picture: each function takes plain results and returns a matplotlib Figure.

Nothing here trains, opens a window or touches matplotlib's global state. Import it when a figure
is due, not before: matplotlib is slow to import. Save with `figure.savefig(path)`. Functions whose
name ends in `frames` return frames instead; `gif(frames)` makes the bytes of an animation of them.
"""

from dlrun.figures.animation import frame, gif
from dlrun.figures.confusion import confusion_matrix
from dlrun.figures.curves import learning_curves
from dlrun.figures.fit import one_feature_fit
from dlrun.figures.gradients import gradient_heat_map, unit_shares, update_ratios
from dlrun.figures.latent import latent_grid, latent_scatter, morph_frames, morph_strip
from dlrun.figures.mistakes import worst_mistakes
from dlrun.figures.reconstructions import reconstructions
from dlrun.figures.regions import decision_regions, region_frames
from dlrun.figures.regression import predictions
from dlrun.figures.samples import sample_grid
from dlrun.figures.style import pixels
from dlrun.figures.surface import race_frames, surface_paths
from dlrun.figures.weights import first_layer_weights

__all__ = [
    "confusion_matrix",
    "decision_regions",
    "first_layer_weights",
    "frame",
    "gif",
    "gradient_heat_map",
    "latent_grid",
    "latent_scatter",
    "learning_curves",
    "morph_frames",
    "morph_strip",
    "one_feature_fit",
    "pixels",
    "predictions",
    "race_frames",
    "reconstructions",
    "region_frames",
    "sample_grid",
    "surface_paths",
    "unit_shares",
    "update_ratios",
    "worst_mistakes",
]
