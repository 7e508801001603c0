"""The page at /: the questions with their current answers."""

from flask import Blueprint, render_template

from pipelines.ask.queries import QUERIES

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def page() -> str:
    """The page; it requests each answer separately."""
    return render_template("home.html", queries=QUERIES)
