"""What runs under the faults: processes that stand and follow, the truth, and a register outside etcd."""
