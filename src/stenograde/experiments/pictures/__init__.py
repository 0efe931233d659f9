"""Networks that classify single pictures: S0, S1, S2, S4 and our own, split by split."""
