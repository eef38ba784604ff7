"""What a branch changes, as the text of a pull request."""
