"""What our network lets through, and which relay is nearest (relay reference 4)."""
