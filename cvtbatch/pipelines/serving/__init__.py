"""`cvtbatch serve`: an archive is watched, and what is new in it walks through pull, index, extract, score and results."""
