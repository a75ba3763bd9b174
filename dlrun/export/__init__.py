"""`dlrun export`: a trained network as one file that other programs run, and its model card."""
