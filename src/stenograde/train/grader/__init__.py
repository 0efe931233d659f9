"""Training of the network that grades the cells of a level."""
