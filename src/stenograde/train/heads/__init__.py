"""Training of small heads on the middle maps of a frozen encoder."""
