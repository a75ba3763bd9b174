"""`dlrun serve`: a page on this machine where one draws, drops or types what a run predicts on."""
