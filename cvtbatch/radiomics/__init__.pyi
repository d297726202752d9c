from .audit import AuditResult, audit_features
from .extract import RoiFeatures, check_stock, extract_features, roi_features
from .profiles import PROFILES, Engine, Profile, load_profile

__all__ = [
    "PROFILES",
    "AuditResult",
    "Engine",
    "Profile",
    "RoiFeatures",
    "audit_features",
    "check_stock",
    "extract_features",
    "load_profile",
    "roi_features",
]
