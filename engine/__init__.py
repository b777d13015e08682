"""What a policy means: sets of addresses, compiled rules, verdicts. Pure, no I/O."""
