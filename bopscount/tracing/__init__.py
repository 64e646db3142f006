"""Recording: from a model and its inputs to a `LayerTable`."""
