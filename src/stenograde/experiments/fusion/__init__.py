"""Ways to fuse three series, some of them missing: the published ones, ours, and imputing what is missing."""
