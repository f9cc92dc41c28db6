"""What works behind the public objects: the hub of a client, the seat, the candidate and the tenure of a leadership."""
