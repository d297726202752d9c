from .audit import AuditResult, audit_features
from .diagnostics import GivenRoi, take_roi
from .extract import RoiFeatures, check_stock, chosen_set, describe_roi, extract_features, roi_features
from .feature_set import FeatureSet
from .parameter_file import load_feature_set
from .profile_check import ProfileCheck, check_profile, profile_parameters, write_template
from .profiles import PROFILES, Engine, load_profile, profile_of, study_settings

__all__ = [
    "PROFILES",
    "AuditResult",
    "Engine",
    "FeatureSet",
    "GivenRoi",
    "ProfileCheck",
    "RoiFeatures",
    "audit_features",
    "check_profile",
    "check_stock",
    "chosen_set",
    "describe_roi",
    "extract_features",
    "load_feature_set",
    "load_profile",
    "profile_of",
    "profile_parameters",
    "roi_features",
    "study_settings",
    "take_roi",
    "write_template",
]
