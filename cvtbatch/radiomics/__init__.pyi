from .audit import AuditResult, audit_features
from .extract import RoiFeatures, check_stock, extract_features, roi_features
from .feature_set import FeatureSet
from .profiles import PROFILES, Engine, load_profile, profile_of, study_settings

__all__ = [
    "PROFILES",
    "AuditResult",
    "Engine",
    "FeatureSet",
    "RoiFeatures",
    "audit_features",
    "check_stock",
    "extract_features",
    "load_profile",
    "profile_of",
    "roi_features",
    "study_settings",
]
