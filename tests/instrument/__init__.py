"""Hooks, and those that come with the library; on virtual time, but for those on a real etcd and real files."""
