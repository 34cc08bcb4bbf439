"""Ready-made pipelines, built on the public API alone."""
