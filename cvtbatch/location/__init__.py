"""Where a hematoma lies in its head: side, distances and depth from the volume alone.

What is no measure but a word, such as lobar, follows from a rule that its module states: an operationalisation, and no more. Every
constant of the rules stands in `cvtbatch.location.rules`.
"""
