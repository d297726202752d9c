"""Volumes to outlines of hematomas: the inside of the skull, what is blood in it, and which part of that is the outline."""
