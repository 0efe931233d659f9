"""The body of a phantom: anatomy, tissues and stenoses, painted at any point."""
