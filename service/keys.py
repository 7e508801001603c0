"""`python -m service.keys`: make API keys. See `service.around.keys`."""

from service.around.keys import main
from store.command import run

if __name__ == "__main__":
    run(main)
