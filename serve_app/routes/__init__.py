"""The HTTP routes by subject, each a straight line from request to reply."""
