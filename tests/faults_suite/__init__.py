"""The checker of runs under faults, and its report."""
