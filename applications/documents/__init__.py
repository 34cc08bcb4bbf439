"""Documents become a graph, an index and manifests, whatever fails on the way."""
