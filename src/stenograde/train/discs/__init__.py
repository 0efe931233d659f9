"""Findings of discs: heads on fixed features, learnt from the graded discs of SPIDER."""
