"""Slices of stored volumes to the values of a network's penultimate layer."""
