"""A mail server for development: receives by SMTP, shows by Mailpit's JSON API and a page."""
