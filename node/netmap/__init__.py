"""What a node knows of its network, folded from the messages of a map stream."""
