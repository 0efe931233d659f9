"""The simulated patient: anatomy, tissues and stenoses, painted at any point in the body."""
