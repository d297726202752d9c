"""What jobs of every room use: the job file, the log of a run, ordered maps, items that no worker finished."""
