"""What is read for a question, and why not something else. Pure."""
