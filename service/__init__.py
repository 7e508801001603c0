"""The questions over HTTP. `service.app.create_app` creates the application."""
