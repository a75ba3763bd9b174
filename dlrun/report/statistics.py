"""The four questions a sweep is asked. Validation decides; the test split stands beside it."""

from dlrun.report.importance import importance
from dlrun.report.optimizers import performance_speed_tuneability
from dlrun.report.settings import settings
from dlrun.report.winner import Winner, winner
from dlrun.report.words import plus_minus

__all__ = [
    "Winner",
    "importance",
    "performance_speed_tuneability",
    "plus_minus",
    "settings",
    "winner",
]
