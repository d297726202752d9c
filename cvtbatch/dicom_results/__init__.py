"""Results as DICOM objects: an outline as a Segmentation, what was measured and scored as a Structured Report (TID 1500).

In flow headers of the source's slices, voxels and values; out flow datasets that name themselves by what they hold. Nothing here
knows a store or a file. The table of codes is docs/how-to/results-for-a-pacs.md.
"""
