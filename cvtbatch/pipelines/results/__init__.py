"""Results go back: what a store holds of outlines, with the sources that a manifest names, as DICOM objects in a folder."""
