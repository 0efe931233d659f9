"""Training on patients: a cohort in the layout of RSNA 2024 to a bundle, step by step, each of which resumes."""
