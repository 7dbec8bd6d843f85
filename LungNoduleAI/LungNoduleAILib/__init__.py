"""Lung nodules: detection, characterisation, reporting; built on SegmentationAILib."""
