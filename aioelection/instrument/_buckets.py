"""The buckets of histograms, in seconds."""

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
"""A healthy etcd answers in a few milliseconds, a late answer is hedged after 0.15 s."""

INTERVALS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0)
"""A third of a TTL while all is well."""

STALLS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
