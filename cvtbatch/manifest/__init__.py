"""The manifest: a CSV or Parquet file of images and outlines, read into cases, or refused with the problems in it."""

from cvtbatch.manifest.case import Case, RoiSource, Travelling, Value, key_of, patient_digest
from cvtbatch.manifest.manifest import Manifest, read_manifest

__all__ = ["Case", "Manifest", "RoiSource", "Travelling", "Value", "key_of", "patient_digest", "read_manifest"]
