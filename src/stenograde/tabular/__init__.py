"""Classical models from vectors and tables to classes: gaps filled, classes balanced, heads fitted. No torch."""
