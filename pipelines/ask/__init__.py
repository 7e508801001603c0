"""What is asked: the queries, and questions made from request text. Pure."""
