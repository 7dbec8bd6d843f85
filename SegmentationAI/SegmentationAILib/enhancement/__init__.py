"""Pictures made better to look at or to work on: denoising, contrast, bias field, grid; each as a new volume."""
