"""How good a trained run is: figures with intervals, class by class, and how sure it may be."""
