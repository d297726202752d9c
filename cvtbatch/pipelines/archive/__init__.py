"""Archives before a run: files and ids checked, synthetic ones written."""
