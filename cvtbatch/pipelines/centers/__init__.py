"""Centres and a frozen bundle: added, validated, recalibrated."""
