"""The questions over HTTP. `service.app.create_app` makes the application."""
