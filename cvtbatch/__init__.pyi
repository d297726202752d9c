from . import errors as errors
from .api.extraction import Extraction, extract
from .api.features import GivenGridWarning, extract_features
from .dlrn.bundle import Bundle, load_bundle
from .errors import CvtbatchError
from .store.design_matrix import LeftOutWarning
from .store.feature_store import FeatureStore

__version__: str

__all__ = [
    "Bundle",
    "CvtbatchError",
    "Extraction",
    "FeatureStore",
    "GivenGridWarning",
    "LeftOutWarning",
    "errors",
    "extract",
    "extract_features",
    "load_bundle",
]
