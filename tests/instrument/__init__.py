"""Hooks, and those that come with the library: on virtual time, but for the programs of the page on them."""
