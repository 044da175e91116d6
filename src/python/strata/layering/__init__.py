"""Plans: which objects share a layer, and in which order the layers lie."""
