"""The embedded issuer, for small sites and the demo: it knows its clients and people, and gives them short-lived access tokens.

Its tokens are believed only by way of its published keys, as any other issuer's are. Authlib has the protocol's rules; what is ours are the
proofs, the records (`state/issuer.py`) and the tokens. Nothing here but `routes.py` knows Flask.
"""
