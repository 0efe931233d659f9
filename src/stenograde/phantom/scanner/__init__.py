"""How a simulated patient is imaged: protocols, MR physics, artefacts."""
