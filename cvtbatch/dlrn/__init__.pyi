from .bundle import Bundle, load_bundle
from .classifier import DLRNClassifier, UncalibratedWarning

__all__ = ["Bundle", "DLRNClassifier", "UncalibratedWarning", "load_bundle"]
