"""The report of a validation: one self-contained page, its figures, tables and numbers."""

from cvtbatch.validation.report.gallery import Pictures
from cvtbatch.validation.report.page import write_report

__all__ = ["Pictures", "write_report"]
