"""What a verification compares: derived data, rows and the account of the loads, each in a module of its own."""
