"""The table of faults, row by row: a test's name begins with its row.

Here are rows 1 to 5, 9 to 24, 26 to 31, 33 and 37 to 41. Elsewhere: rows 6 to 8 (clocks), 32 (cancellation at every
``await``), 37 (the overrun's report) and 39 (a thousand candidates, counted) in ``tests/memory``, on virtual time; row
25 (compaction) in ``tests/test_watch.py``; row 34 (fork) in ``tests/test_connect.py``; row 35 (health) in
``tests/test_health.py``; row 36 (bad input) in ``tests/core/test_checks.py`` and ``tests/core/test_endpoints.py``, and,
before anything is sent, in ``tests/test_connect.py`` and ``tests/test_run.py``.

A bound holds for etcd as released; the time for which the machine itself was stalled meanwhile comes on top. What was
measured is recorded as the properties ``measured`` and ``bound`` of each test (``pytest --junit-xml``).
"""
