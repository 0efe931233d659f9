"""Vectors and tables to classes with classical models: gaps filled, classes balanced, heads fitted. No torch."""
