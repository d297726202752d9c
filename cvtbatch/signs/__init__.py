"""Signs and geometry of a hematoma on non-contrast CT, by published definitions: HU and mask to values with units.

What a publication leaves to a reader's eye is made into a rule here, which its module states: an operationalisation, and no more.
Every constant of the rules stands in `cvtbatch.signs.constants`.
"""
