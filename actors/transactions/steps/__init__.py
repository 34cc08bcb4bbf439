"""Ready-made steps: files, SQL and graph databases."""
