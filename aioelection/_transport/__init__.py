"""The edge: what is asked of one etcd member (the port), how it is asked (the adapter), and the two pumps."""
