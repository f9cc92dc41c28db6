"""Proof under fire: contenders, a nemesis that breaks things around them, and a checker of what they then did.

``records`` is what everybody writes down; ``workload`` and ``nemesis`` make it, ``checker`` judges it, ``report``
shows it.
"""
