"""The demonstration: every part as its own process, from a simulated house to an anchored proof.

Nothing here is a shortcut: the children are the product's commands with configurations that a
person could have written, and what is shown comes from their public interfaces.
"""
