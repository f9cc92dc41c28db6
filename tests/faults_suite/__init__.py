"""The suite that proves the library under faults, tested itself."""
