"""Swagger UI at /docs, from the files of an installed package; nothing is fetched from elsewhere."""

from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, render_template, send_from_directory

blueprint = Blueprint("docs", __name__)
_ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"


@blueprint.get("/docs")
def page() -> str:
    """The page."""
    return render_template("docs.html")


@blueprint.get("/docs/assets/<path:name>")
def asset(name: str) -> Response:
    """A file of Swagger UI."""
    return send_from_directory(_ASSETS, name, max_age=86_400)
