"""The 1,834 PyRadiomics features of an ROI."""

from cvtbatch.radiomics.audit import AuditResult, audit_features
from cvtbatch.radiomics.extract import Engine, RoiFeatures, check_engine, extract_features, roi_features
from cvtbatch.radiomics.profiles import PROFILES, Profile, load_profile

__all__ = [
    "PROFILES",
    "AuditResult",
    "Engine",
    "Profile",
    "RoiFeatures",
    "audit_features",
    "check_engine",
    "extract_features",
    "load_profile",
    "roi_features",
]
