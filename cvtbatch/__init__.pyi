from . import dlrn as dlrn
from . import errors as errors
from . import imaging as imaging
from . import radiomics as radiomics
from . import store as store
from .api.extraction import Extraction, extract
from .api.features import GivenGridWarning, OtherGridWarning, extract_features
from .dlrn.bundle import Bundle, load_bundle
from .errors import CvtbatchError
from .store.design_matrix import LeftOutWarning
from .store.feature_store import FeatureStore
from .store.units import units

__version__: str

__all__ = [
    "Bundle",
    "CvtbatchError",
    "Extraction",
    "FeatureStore",
    "GivenGridWarning",
    "LeftOutWarning",
    "OtherGridWarning",
    "dlrn",
    "errors",
    "extract",
    "extract_features",
    "imaging",
    "load_bundle",
    "radiomics",
    "store",
    "units",
]
