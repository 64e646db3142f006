"""Shape search: one network with other channels, windows, or input sizes."""
