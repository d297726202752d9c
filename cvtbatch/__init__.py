"""Distributed batch feature store and scoring engine for intracerebral hematomas on head CT."""

__version__ = "0.2.0"
