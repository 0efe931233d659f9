"""The counter: one study, many studies, a cohort, a submission; what every entrance calls."""
