"""The options that change the documents made from a file, and so are part of the load's id."""

from dataclasses import asdict, dataclass

from catalog.identity import load_name


@dataclass(frozen=True)
class Options:
    """The options of a load.

    Attributes:
        customers: `transaction` creates one customer for each row, `profile` one for each combination of the
            attributes that identify a customer.
        timezone: the store's wall clock.
        new_members: `refuse` puts a row with a name that its reference collection does not hold into quarantine; `add`
            adds the name to the vocabulary.
    """

    customers: str = "transaction"
    timezone: str = "UTC"
    new_members: str = "refuse"

    @property
    def by_profile(self) -> bool:
        """Whether customers are profiles."""
        return self.customers == "profile"

    def name(self, sha256: str) -> str:
        """The id of the load of a file with these options."""
        return load_name(sha256, asdict(self))
