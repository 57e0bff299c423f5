"""Attacks on a facade of ours, each with a twin that is no attack, and each seen to succeed once its control is taken away."""
