"""The 1,834 PyRadiomics features of an ROI."""

from cvtbatch.radiomics.extract import Engine, check_engine, extract_features, filter_scale_hu, undefined_features
from cvtbatch.radiomics.profiles import PROFILES, Profile, load_profile

__all__ = [
    "PROFILES",
    "Engine",
    "Profile",
    "check_engine",
    "extract_features",
    "filter_scale_hu",
    "load_profile",
    "undefined_features",
]
