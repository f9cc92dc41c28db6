"""What the library costs, beside the floor and beside its peers: ``python -m benchmarks``.

``figures/`` holds one file for each figure: what is measured, how, and its goal. ``peers/`` holds one file for each
way of electing a leader. ``runner`` measures the sides of a figure in turn, each in a process of its own (``worker``).
``report/`` shows the result: a table, plots, and the page in the documentation.
"""
