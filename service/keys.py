"""`python -m service.keys`: make API keys. See `service.around.keys`."""

from service.around.keys import main

if __name__ == "__main__":
    main(prog_name="python -m service.keys")
