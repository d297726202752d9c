"""Two studies of one patient: which is the first, and how the hematoma grew, by published definitions of expansion."""
