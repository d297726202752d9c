from .bundle import Bundle, load_bundle
from .classifier import DLRNClassifier, UncalibratedWarning
from .frames import RoundedWarning

__all__ = ["Bundle", "DLRNClassifier", "RoundedWarning", "UncalibratedWarning", "load_bundle"]
