"""What the last run cost, what a grid will cost, and what may be spent."""
