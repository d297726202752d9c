"""What pages of several kinds show: slices with outlines, flags in words, and the page and table at the end of a run."""
