"""Training of the network that finds vertebrae, discs and canal."""
