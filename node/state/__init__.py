"""What a node keeps on disk: keys, preferences, the last netmap."""
