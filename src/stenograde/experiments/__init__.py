"""Experiments: one recipe per published system, run under a named protocol, with a result that can be trusted."""
