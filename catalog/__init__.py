"""What the data is: dimensions, measures, collections and errors. Standard library only, no I/O."""
