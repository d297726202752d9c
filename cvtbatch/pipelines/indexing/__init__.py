"""From a folder of studies to a manifest."""
