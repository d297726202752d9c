"""DLRN: selection, signatures and nomogram, fitted, frozen in a bundle, and scored."""

from cvtbatch.dlrn.bundle import Bundle, load_bundle

__all__ = ["Bundle", "load_bundle"]
