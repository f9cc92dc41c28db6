"""What the in-memory etcd and a real one must do alike: every test here runs on both.

The in-memory one on virtual time. Where the two differ, the test says so.
"""
