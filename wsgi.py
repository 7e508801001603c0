"""`app` for any WSGI server; `python -m service` serves it as this project means it."""

from service.app import create_app

app = create_app()
