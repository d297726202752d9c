"""Regions that are derived from outlines, whoever drew or found them: the rim around, the core, the convex hull, the parts."""
