"""The mathematics of each equilibrium, on plain stacked arrays: one method a file, certified by its caller.

- ``closed_form``: the Stackelberg equilibrium, in log space.
- ``lottery``: the unregularised Nash equilibrium (maximal lottery), by ``central_path`` and ``face``.
- ``quantal``: the regularised Nash equilibrium, by Newton's method.
- ``bradley_terry``: the reward that fits the preferences best.
"""
