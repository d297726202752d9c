"""Where a hematoma lies in its head: side, distances and depth from the volume alone, and by an atlas of the user's."""

from cvtbatch.location.head import MeasuredHead, Unmeasured, measure_head
from cvtbatch.location.hematoma import Location, locate
from cvtbatch.location.rules import LocationRules

__all__ = ["Location", "LocationRules", "MeasuredHead", "Unmeasured", "locate", "measure_head"]
