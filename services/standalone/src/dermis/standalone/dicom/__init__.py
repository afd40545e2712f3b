"""A case as DICOM: its photos, heatmaps and outcome as one study. Needs the extra `dicom`."""
