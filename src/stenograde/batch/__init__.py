"""A cohort of any size: a manifest of studies in, two Parquet tables out, on this machine or on a Ray cluster."""
