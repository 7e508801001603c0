"""MongoDB's bytes and numpy's columns: only this room knows BSON's types, lengths, frames and keys of arrays."""
