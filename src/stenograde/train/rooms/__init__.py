"""Nets that tell tissues apart on slices through foramina or the canal, learnt from phantoms."""
