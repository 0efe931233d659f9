"""Training: samples and nets in, weights out. The only layer below ``experiments`` that knows torch loops."""
