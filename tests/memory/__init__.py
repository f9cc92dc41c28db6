"""The library on the in-memory etcd, on virtual time: minutes of faults in milliseconds, the same each time."""
