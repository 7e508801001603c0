"""The only door to MongoDB: settings, client, schema, snapshot sessions, the embedded server, timing."""
