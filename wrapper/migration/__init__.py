"""The way from legacy to modern: what both sides answered, compared; what that proves; who is asked next.

Decisions are pure functions of what was seen; nothing in here asks a back end or the state store by itself.
"""
