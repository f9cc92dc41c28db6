"""The rows of the table of faults that are about the connection: each a named test, within its bound, and measured.

Elsewhere: row 25 (compaction past the DELETE that is waited for) is in ``tests/test_watch.py``
(``test_a_compaction_past_what_is_waited_for``); row 34 (fork) in ``tests/test_connect.py``
(``test_in_a_child_of_a_fork``); row 36 (bad input) in ``tests/core/test_checks.py``, ``tests/core/test_endpoints.py``
and ``tests/test_connect.py`` (``test_what_cannot_be_is_refused_at_the_call_by_name``,
``test_an_unknown_option_is_refused``).

A bound holds for etcd as released; the time for which the machine itself was stalled meanwhile comes on top. What was
measured is recorded as the properties ``measured`` and ``bound`` of each test (``pytest --junit-xml``).
"""
