"""Slices of stored volumes to the values of a network's penultimate layer. `register` adds a network of one's own."""

from cvtbatch.embedding.architectures import Architecture, register
from cvtbatch.embedding.inputs import NetworkInput

__all__ = ["Architecture", "NetworkInput", "register"]
